package main

import (
	"context"
	"log"
	"os"

	"github.com/ogen-go/ogen/ogenerrors"

	"interop/api"
)

type security struct{}

func (security) ApiKey(context.Context, api.OperationName) (api.ApiKey, error) {
	return api.ApiKey{Token: os.Getenv("API_KEY")}, nil
}

func (security) ClientId(context.Context, api.OperationName) (api.ClientId, error) {
	return api.ClientId{}, ogenerrors.ErrSkipClientSecurity
}

func (security) ClientSecret(context.Context, api.OperationName) (api.ClientSecret, error) {
	return api.ClientSecret{}, ogenerrors.ErrSkipClientSecurity
}

func as[T any](answer any, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	typed, ok := answer.(T)
	if !ok {
		log.Fatalf("the answer is a %T", answer)
	}
	return typed
}

func main() {
	ctx := context.Background()
	client, err := api.NewClient(os.Getenv("HTTP_URL"), security{})
	if err != nil {
		log.Fatal(err)
	}
	made := as[*api.ScheduleCreatedHeaders](client.CreateSchedule(ctx, &api.CreateSchedule{Name: "Made", TimeZone: "Europe/Rome"}, api.CreateScheduleParams{}))
	id := made.Response.Data.ID
	listed := as[*api.SchedulesFoundHeaders](client.ListSchedules(ctx, api.ListSchedulesParams{}))
	found := false
	for _, schedule := range listed.Response.Data {
		found = found || schedule.ID == id
	}
	read := as[*api.ScheduleFoundHeaders](client.GetSchedule(ctx, api.GetScheduleParams{ScheduleId: id}))
	if !found || read.Response.Data.Availability[0].Days[0] != api.WeekdayMonday {
		log.Fatal("it is not listed, or has other hours")
	}
	changed := as[*api.ScheduleChangedHeaders](client.UpdateSchedule(ctx, &api.UpdateSchedule{Name: api.NewOptString("Changed")}, api.UpdateScheduleParams{ScheduleId: id}))
	if changed.Response.Data.Name.Value != "Changed" {
		log.Fatal("it has not changed")
	}
	as[*api.DeletedHeaders](client.DeleteSchedule(ctx, api.DeleteScheduleParams{ScheduleId: id}))
	missing := as[*api.NotFoundHeaders](client.GetSchedule(ctx, api.GetScheduleParams{ScheduleId: id}))
	if missing.Response.Error.Code != "NotFoundException" {
		log.Fatal("no typed 404")
	}
}
