// Uses the client that oapi-codegen has made, which decodes each answer into its own types, and says what it saw.
package main

import (
	"context"
	"net/http"
	"os"

	"clients/generated/oapi"
	"clients/seen"

	"github.com/google/uuid"
)

func main() {
	ctx := context.Background()
	key := func(_ context.Context, request *http.Request) error {
		request.Header.Set("Authorization", "Bearer "+os.Getenv("API_KEY"))
		return nil
	}
	client, err := oapi.NewClientWithResponses(os.Getenv("API_URL"), oapi.WithRequestEditorFn(key))
	seen.Must(err)

	expires, after := seen.Time("EXPIRES"), seen.Time("AFTER")
	metadata := map[string]string{"order": "oapi"}
	created, err := client.CreateSessionWithResponse(ctx, &oapi.CreateSessionParams{IdempotencyKey: "oapi"},
		oapi.CreateSessionJSONRequestBody{Amount: "12.50", Asset: "native", ExpiresAt: &expires, Metadata: &metadata})
	seen.Must(err)
	read, err := client.GetSessionWithResponse(ctx, created.JSON201.Id)
	seen.Must(err)
	listed, err := client.ListSessionsWithResponse(ctx, &oapi.ListSessionsParams{CreatedAfter: &after})
	seen.Must(err)
	event, err := client.GetEventWithResponse(ctx, uuid.MustParse(os.Getenv("EVENT")))
	seen.Must(err)
	missing, err := client.GetSessionWithResponse(ctx, uuid.MustParse(os.Getenv("MISSING")))
	seen.Must(err)

	saw := seen.Seen{
		Created:   created.JSON201.Id.String(),
		ExpiresAt: read.JSON200.ExpiresAt,
		Status:    string(read.JSON200.Status),
		Order:     read.JSON200.Metadata["order"],
		Event:     string(event.JSON200.Type),
		Refused:   missing.ApplicationproblemJSONDefault.Type,
	}
	for _, session := range listed.JSON200.Data {
		saw.Listed = append(saw.Listed, session.Id.String())
	}
	seen.Tell(saw)
}
