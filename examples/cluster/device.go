package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
)

// patience is how long a device waits for an answer before it says the same again,
// as CoAP does with a confirmable message.
const patience = 300 * time.Millisecond

// An exchange is one reading that a device has sent and the answer to it.
type exchange struct {
	reading int
	node    string // that answered
	tries   int
	took    time.Duration
}

// talk sends a reading every so often and reports each answer, until ctx ends.
func talk(ctx context.Context, c *dtls.Conn, every time.Duration, report func(exchange)) error {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for n := 1; ; n++ {
		x, err := ask(ctx, c, n)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		report(x)
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// ask sends one reading until it is answered.
func ask(ctx context.Context, c *dtls.Conn, n int) (exchange, error) {
	text, began := fmt.Sprint("reading ", n), time.Now()
	b := make([]byte, 2000)
	for tries := 1; ctx.Err() == nil; tries++ {
		if _, err := c.Write([]byte(text)); err != nil {
			return exchange{}, err
		}
		c.SetReadDeadline(time.Now().Add(patience))
		for {
			size, err := c.Read(b)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
			if err != nil {
				return exchange{}, err
			}
			if node, said, _ := strings.Cut(string(b[:size]), ": "); said == text { // else it answers one of before
				return exchange{n, node, tries, time.Since(began)}, nil
			}
		}
	}
	return exchange{}, ctx.Err()
}
