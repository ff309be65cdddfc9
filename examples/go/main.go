// Writes a line for each event of a schedule that was created; see ../README.md.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	schedules "example/schedules/v1"
)

func header(record *kgo.Record, name string) string {
	for _, header := range record.Headers {
		if header.Key == name {
			return string(header.Value)
		}
	}
	return ""
}

func main() {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(os.Getenv("KAFKA_BROKERS")),
		kgo.ConsumerGroup("example-go"),
		kgo.ConsumeTopics("schedules.events.v1"),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		log.Fatal(err)
	}
	for {
		fetches := client.PollFetches(context.Background())
		if err := fetches.Err(); err != nil {
			log.Fatal(err)
		}
		fetches.EachRecord(func(record *kgo.Record) {
			if header(record, "ce_type") != "schedules.v1.ScheduleCreated" {
				return
			}
			event := &schedules.ScheduleCreated{}
			if err := proto.Unmarshal(record.Value, event); err != nil {
				log.Fatal(err)
			}
			schedule := event.GetSchedule()
			fmt.Println(header(record, "ce_id"), schedule.GetOwnerId(), schedule.GetName(), schedule.GetTimeZone())
		})
	}
}
