package main

import (
	"context"
	"log"
	"net/http"
	"os"

	"interop/api"
)

func must(ok bool, what string) {
	if !ok {
		log.Fatal(what)
	}
}

func check[T any](answer T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return answer
}

func main() {
	ctx := context.Background()
	bearer := func(_ context.Context, request *http.Request) error {
		request.Header.Set("Authorization", "Bearer "+os.Getenv("API_KEY"))
		return nil
	}
	client := check(api.NewClientWithResponses(os.Getenv("HTTP_URL"), api.WithRequestEditorFn(bearer)))
	made := check(client.CreateScheduleWithResponse(ctx, nil, api.CreateSchedule{Name: "Made", TimeZone: "Europe/Rome"}))
	must(made.JSON201 != nil, "it is not made")
	id := made.JSON201.Data.Id
	listed := check(client.ListSchedulesWithResponse(ctx, nil))
	found := false
	for _, schedule := range listed.JSON200.Data {
		found = found || schedule.Id == id
	}
	must(found, "it is not listed")
	read := check(client.GetScheduleWithResponse(ctx, id, nil))
	must(read.JSON200.Data.Availability[0].Days[0] == api.Monday, "it has other hours")
	name := "Changed"
	changed := check(client.UpdateScheduleWithResponse(ctx, id, nil, api.UpdateSchedule{Name: &name}))
	must(changed.JSON200 != nil && *changed.JSON200.Data.Name == name, "it has not changed")
	gone := check(client.DeleteScheduleWithResponse(ctx, id, nil))
	must(gone.JSON200 != nil, "it is not deleted")
	missing := check(client.GetScheduleWithResponse(ctx, id, nil))
	must(missing.JSON404 != nil && missing.JSON404.Error.Code == "NotFoundException", "no typed 404")
}
