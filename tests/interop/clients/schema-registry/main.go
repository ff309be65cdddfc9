// Sends a command in Confluent's wire format, by the schema that the registry of SCHEMA_REGISTRY has, which leads to all that it imports, and
// finds the schedule that it made.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
	"google.golang.org/protobuf/proto"

	schedules "interop/schedules/v1"
)

const latest = -1

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

// imported says how many schemas one leads to.
func imported(ctx context.Context, registry *sr.Client, schema sr.SubjectSchema) int {
	count := 0
	for _, reference := range schema.References {
		count += 1 + imported(ctx, registry, must(registry.SchemaByVersion(ctx, reference.Subject, reference.Version)))
	}
	return count
}

func names() string {
	request := must(http.NewRequest("GET", os.Getenv("HTTP_URL")+"/v2/schedules", nil))
	request.Header.Set("Authorization", "Bearer "+os.Getenv("API_KEY"))
	answer := must(http.DefaultClient.Do(request))
	defer answer.Body.Close()
	return string(must(io.ReadAll(answer.Body)))
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	registry := must(sr.NewClient(sr.URLs(os.Getenv("SCHEMA_REGISTRY"))))
	schema := must(registry.SchemaByVersion(ctx, "schedules.v1.CreateSchedule", latest))
	if imported(ctx, registry, schema) == 0 {
		log.Fatal("the schema has lost what it imports")
	}
	serde := sr.NewSerde()
	serde.Register(schema.ID, &schedules.CreateSchedule{}, sr.Index(0),
		sr.EncodeFn(func(value any) ([]byte, error) { return proto.Marshal(value.(proto.Message)) }))

	owner, id := os.Getenv("MEMBER_USER_ID"), os.Getenv("COMMAND_ID")
	command := &schedules.CreateSchedule{CommandId: id, UserId: must(strconv.ParseInt(owner, 10, 64)), Name: "Registered " + id, TimeZone: "Europe/Rome"}
	value := must(serde.Encode(command))
	kafka := must(kgo.NewClient(kgo.SeedBrokers(os.Getenv("KAFKA_BROKERS"))))
	defer kafka.Close()
	record := &kgo.Record{Topic: "schedules.commands.v1", Key: []byte(owner), Value: value}
	must(kafka.ProduceSync(ctx, record).First())
	for !strings.Contains(names(), command.Name) {
		if ctx.Err() != nil {
			log.Fatal("no schedule came of it")
		}
		time.Sleep(200 * time.Millisecond)
	}
	fmt.Println(command.Name)
}
