#include <malloc.h>

#include "app/command_line.h"

int main(int argc, char **argv)
{
    mallopt(M_ARENA_MAX, 2); /* librdkafka's many threads would each keep free memory of their own */
    return command_line_run(argc, argv);
}
