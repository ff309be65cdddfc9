/* How long a stop may take. What it then leaves is what a killed process leaves: what is committed stays, and the rest is on the next start. */
#ifndef APP_STOP_LIMIT_H
#define APP_STOP_LIMIT_H

/* Ends the process with code 1 and says so, if it is still there after so many seconds. Whatever its other threads wait for does not matter. */
void stop_limit_start(int seconds);

#endif
