// Uses the client that ogen has made, which validates each answer and fails on what the description excludes, and says
// what it saw.
package main

import (
	"context"
	"fmt"
	"os"

	"clients/generated/ogen"
	"clients/seen"

	"github.com/google/uuid"
)

type key struct{}

func (key) MerchantKey(context.Context, ogen.OperationName) (ogen.MerchantKey, error) {
	return ogen.MerchantKey{Token: os.Getenv("API_KEY")}, nil
}

func (key) AdminKey(context.Context, ogen.OperationName) (ogen.AdminKey, error) {
	return ogen.AdminKey{}, nil
}

// An answer is one of several types: the one that is wanted, or a problem.
func wanted[T any](answer any, err error) T {
	seen.Must(err)
	if of, is := answer.(T); is {
		return of
	}
	if problem, is := answer.(*ogen.ProblemStatusCodeWithHeaders); is {
		seen.Must(fmt.Errorf("refused: %+v", problem.Response))
	}
	seen.Must(fmt.Errorf("an answer of type %T", answer))
	panic("not reached")
}

func main() {
	ctx := context.Background()
	client, err := ogen.NewClient(os.Getenv("API_URL"), key{})
	seen.Must(err)

	answer, err := client.CreateSession(ctx, &ogen.CreateSessionReq{
		Amount:    "12.50",
		Asset:     "native",
		ExpiresAt: ogen.NewOptDateTime(seen.Time("EXPIRES")),
		Metadata:  ogen.NewOptCreateSessionReqMetadata(ogen.CreateSessionReqMetadata{"order": "ogen"}),
	}, ogen.CreateSessionParams{IdempotencyKey: "ogen"})
	created := wanted[*ogen.OpenedSessionHeaders](answer, err).Response

	readAnswer, err := client.GetSession(ctx, ogen.GetSessionParams{ID: created.ID})
	read := wanted[*ogen.SessionHeaders](readAnswer, err).Response

	listAnswer, err := client.ListSessions(ctx, ogen.ListSessionsParams{
		CreatedAfter: ogen.NewOptDateTime(seen.Time("AFTER")),
		Metadata:     ogen.NewOptListSessionsMetadata(ogen.ListSessionsMetadata{"order": "ogen"}),
	})
	listed := wanted[*ogen.ListSessionsOKHeaders](listAnswer, err).Response

	eventAnswer, err := client.GetEvent(ctx, ogen.GetEventParams{ID: uuid.MustParse(os.Getenv("EVENT"))})
	event := wanted[*ogen.EventHeaders](eventAnswer, err).Response

	missingAnswer, err := client.GetSession(ctx, ogen.GetSessionParams{ID: uuid.MustParse(os.Getenv("MISSING"))})
	missing := wanted[*ogen.ProblemStatusCodeWithHeaders](missingAnswer, err).Response

	saw := seen.Seen{
		Created:   created.ID.String(),
		ExpiresAt: read.ExpiresAt,
		Status:    string(read.Status),
		Order:     read.Metadata["order"],
		Event:     string(event.Type),
		Refused:   missing.Type,
	}
	for _, session := range listed.Data {
		saw.Listed = append(saw.Listed, session.ID.String())
	}
	seen.Tell(saw)
}
