// Package seen is what each client says it saw, in the words that all languages say it in.
package seen

import (
	"encoding/json"
	"fmt"
	"os"
	"time"
)

type Seen struct {
	Created   string    `json:"created"`
	ExpiresAt time.Time `json:"expires_at"`
	Status    string    `json:"status"`
	Order     string    `json:"order"`
	Listed    []string  `json:"listed"`
	Event     string    `json:"event"`
	Refused   string    `json:"refused"`
}

func Tell(saw Seen) {
	text, err := json.Marshal(saw)
	Must(err)
	fmt.Println(string(text))
}

func Must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// Time is the environment's, with the offset that it has there.
func Time(name string) time.Time {
	at, err := time.Parse(time.RFC3339, os.Getenv(name))
	Must(err)
	return at
}
