package main

import (
	"context"
	"errors"
	"log"
	"os"

	openapi "interop/api"
)

func main() {
	configuration := openapi.NewConfiguration()
	configuration.Servers = openapi.ServerConfigurations{{URL: os.Getenv("HTTP_URL")}}
	api := openapi.NewAPIClient(configuration).OnesOwnSchedulesAPI
	ctx := context.WithValue(context.Background(), openapi.ContextAccessToken, os.Getenv("API_KEY"))
	made, _, err := api.CreateSchedule(ctx).CreateSchedule(*openapi.NewCreateSchedule("Made", "Europe/Rome", false)).Execute()
	if err != nil {
		log.Fatal(err)
	}
	id := made.Data.Id
	listed, _, err := api.ListSchedules(ctx).Execute()
	if err != nil {
		log.Fatal(err)
	}
	found := false
	for _, schedule := range listed.Data {
		found = found || schedule.Id == id
	}
	read, _, err := api.GetSchedule(ctx, id).Execute()
	if err != nil || !found || read.Data.Availability[0].Days[0] != openapi.MONDAY {
		log.Fatal("it is not listed, or has other hours: ", err)
	}
	name := "Changed"
	changed, _, err := api.UpdateSchedule(ctx, id).UpdateSchedule(openapi.UpdateSchedule{Name: &name}).Execute()
	if err != nil || changed.Data.GetName() != name {
		log.Fatal("it has not changed: ", err)
	}
	if _, _, err = api.DeleteSchedule(ctx, id).Execute(); err != nil {
		log.Fatal(err)
	}
	_, _, err = api.GetSchedule(ctx, id).Execute()
	var failure *openapi.GenericOpenAPIError
	if !errors.As(err, &failure) {
		log.Fatal("no 404: ", err)
	}
	body, ok := failure.Model().(openapi.ErrorAnswer)
	if !ok || body.Error.Code != "NotFoundException" {
		log.Fatal("no typed 404")
	}
}
