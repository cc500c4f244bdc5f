package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Sleepers are connections that say a word each minute: DTLS 1.3 with connection IDs, on
// one Listener in a process of its own. What they cost there is to be the same for each,
// whether they are a hundred or a hundred thousand.

// restTime is how long they are left alone before they are measured: longer than
// anything is kept for the network's sake.
const restTime = 4*time.Minute + 15*time.Second

// A bedroom is a dormitory with those who sleep there.
type bedroom struct {
	*dormitory
	sleepers *sleepers
	guests   []*sleeper
	empty    sample        // its state before they came
	took     time.Duration // their handshakes
}

// measureSleepers measures 100, 1,000 and so on, up to most, and prints a table. All
// rest at the same time, so that it takes little longer than the largest number does.
func measureSleepers(most int, rest time.Duration, out, progress io.Writer) error {
	var rooms []*bedroom
	for n := min(100, most); n <= most; n *= 10 {
		r, err := openBedroom(n)
		if err != nil {
			return fmt.Errorf("%d sleepers: %w", n, err)
		}
		defer r.close()
		fmt.Fprintf(progress, "%d connections after %.1f s\n", n, r.took.Seconds())
		rooms = append(rooms, r)
	}
	time.Sleep(rest)
	var b strings.Builder
	writeRow(&b, []string{"connections", "heap of the server for each, KiB", "if each says a word a minute", "its goroutines", "CPU for an echo, µs", "CPU at one a minute, % of a core", "a garbage collection, ms", "handshakes/s"})
	writeRow(&b, []string{"---:", "---:", "---:", "---:", "---:", "---:", "---:", "---:"})
	for _, r := range rooms {
		row, err := r.measure()
		if err != nil {
			return fmt.Errorf("%d sleepers: %w", len(r.guests), err)
		}
		writeRow(&b, row)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func openBedroom(n int) (*bedroom, error) {
	d, err := startDormitory()
	if err != nil {
		return nil, err
	}
	r := &bedroom{dormitory: d}
	if err := r.fill(n); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// fill lets them come. One more comes before, for what all have together.
func (r *bedroom) fill(n int) (err error) {
	if r.sleepers, err = newSleepers(r.address, n+1); err != nil {
		return err
	}
	s := r.sleepers
	first := s.all[n:]
	if err := errors.Join(s.connect(first), s.talk(first)); err != nil {
		return err
	}
	if r.empty, err = r.state(); err != nil {
		return err
	}
	began := time.Now()
	err = s.connect(s.all[:n])
	r.took, r.guests = time.Since(began), s.all[:n]
	return err
}

func (r *bedroom) close() {
	if r.sleepers != nil {
		r.sleepers.close()
	}
	r.stop()
}

// leastWords is how many words are said at least: fewer cost too little to be measured.
const leastWords = 2000

// measure finds what they hold at rest, and what they hold and cost when each has said a
// word a while ago and says another. Where they are few each says several.
func (r *bedroom) measure() ([]string, error) {
	asleep, err := r.state()
	if err != nil {
		return nil, err
	}
	if err := r.sleepers.talk(r.guests); err != nil {
		return nil, err
	}
	collected, err := r.state()
	if err != nil {
		return nil, err
	}
	awake, err := r.state() // what it costs to ask
	if err != nil {
		return nil, err
	}
	times := max(1, leastWords/len(r.guests))
	for range times {
		if err := r.sleepers.talk(r.guests); err != nil {
			return nil, err
		}
	}
	after, err := r.state()
	if err != nil {
		return nil, err
	}
	n := float64(len(r.guests))
	collections := awake[cost] - collected[cost] // two
	echo := (after[cost] - awake[cost] - collections) / (n * float64(times))
	return []string{
		fmt.Sprint(len(r.guests)),
		number((asleep[serverHeap]-r.empty[serverHeap])/n, 1<<10, 2),
		number((awake[serverHeap]-r.empty[serverHeap])/n, 1<<10, 2),
		number(asleep[serverGoroutines], 1, 0),
		number(echo, 1e3, 1),
		number(100*echo*n/float64(time.Minute), 1, 2),
		number(collections/2, 1e6, 1),
		number(n/r.took.Seconds(), 1, 0),
	}, nil
}
