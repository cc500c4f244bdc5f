package dtls

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/replay"
)

// once checks that d has read each of want once, in any order, and nothing else.
func (d *side) once(want []string) {
	d.s.t.Helper()
	var got []string
	for _, data := range d.read {
		got = append(got, string(data))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		d.s.t.Fatalf("%s: read %q, want each of %q once", d.name, got, want)
	}
}

// Every datagram of a session, handshake and data, comes twice and late; and
// when all is over, all of them come again and again.
//
// RFC 9147 4.5.1 [3]; RFC 6347 4.1.2.6 [3]
func TestReplayOfSession(t *testing.T) {
	for _, c := range settings {
		t.Run(c.name, func(t *testing.T) {
			for seed := 0; seed < 10; seed += stride(5) {
				client, server := with(c.change)
				s := simulate(t, uint64(seed), client, server, func(s *simulation) {
					s.fate = func(*parcel) []time.Duration {
						late := func() time.Duration { return time.Duration(s.random.IntN(300)) * time.Millisecond }
						return []time.Duration{late(), late()}
					}
				})
				s.settle()
				var want []string
				for n := range 20 {
					want = append(want, fmt.Sprint("record ", n))
					s.send(s.client, s.client.seal(want[n]), s.client.Path())
					s.send(s.server, s.server.seal(want[n]), s.server.Path())
				}
				s.settle()
				s.client.once(want)
				s.server.once(want)

				all := slices.Clone(s.sent)
				s.fate = losing(func(*parcel) bool { return true })
				s.random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
				for _, p := range append(all, all...) {
					p.from.peer.receive(p.data)
				}
				s.client.once(want)
				s.server.once(want)
				if s.client.err != nil || s.server.err != nil {
					t.Fatal(s.client.err, s.server.err)
				}
				s.fate = prompt
				s.settle()
				s.exchange()
			}
		})
	}
}

// Five datagrams in each of their orders, each twice in a row and then all
// again backwards.
//
// RFC 9147 4.5.1 [3]; RFC 6347 4.1.2.6 [3]
func TestReplayInEveryOrder(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		client, server := with(version)
		s := established(t, client, server)
		for order := range permutations(5) {
			var want []string
			var datagrams [][]byte
			for n := range 5 {
				want = append(want, fmt.Sprint("record ", n))
				datagrams = append(datagrams, s.client.seal(want[n]))
			}
			s.server.read = nil
			for _, n := range order {
				s.server.receive(datagrams[n])
				s.server.receive(datagrams[n])
			}
			for _, n := range slices.Backward(order) {
				s.server.receive(datagrams[n])
			}
			s.server.once(want)
		}
	})
}

func permutations(n int) func(yield func([]int) bool) {
	return func(yield func([]int) bool) {
		order := make([]int, 0, n)
		var extend func() bool
		extend = func() bool {
			if len(order) == n {
				return yield(order)
			}
			for i := range n {
				if !slices.Contains(order, i) {
					order = append(order, i)
					if !extend() {
						return false
					}
					order = order[:len(order)-1]
				}
			}
			return true
		}
		extend()
	}
}

func TestReplayWindowEdges(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		client, server := with(version)
		s := established(t, client, server)
		const n = 3 * replay.Size
		records := make([][]byte, n)
		for i := range records {
			records[i] = s.client.seal(fmt.Sprint(i))
		}
		delivered := func(i int) bool {
			s.server.read = nil
			s.server.receive(records[i])
			return len(s.server.read) == 1 && string(s.server.read[0]) == fmt.Sprint(i)
		}
		if !delivered(n - 1) {
			t.Fatal("the newest is lost")
		}
		before := s.server.Stats().Dropped.Replay
		for i := range n - replay.Size {
			if delivered(i) {
				t.Fatalf("record %d is left of the window and came through", i)
			}
		}
		if got := s.server.Stats().Dropped.Replay - before; got != n-replay.Size {
			t.Errorf("%d counted as replayed, want %d", got, n-replay.Size)
		}
		for _, i := range rand.New(rand.NewPCG(1, 1)).Perm(replay.Size - 1) {
			if i += n - replay.Size; !delivered(i) || delivered(i) {
				t.Fatalf("record %d of the window did not come through just once", i)
			}
		}
	})
}

// A number far ahead that doesn't authenticate moves no window (CVE-2016-2181).
//
// RFC 9147 4.5.1 [6]
func TestPitfallForgedNumber(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		client, server := with(version)
		s := established(t, client, server)
		first, second := s.client.seal("first"), s.client.seal("second")
		for range 100 {
			forged := bytes.Clone(second)
			if isUnified(forged[0]) {
				forged[1] ^= 0x40 // a number 16384 away
			} else {
				forged[5] ^= 0xff // the highest byte of the number
			}
			s.server.receive(forged)
		}
		s.server.receive(second)
		s.server.receive(first)
		s.server.once([]string{"first", "second"})
	})
}

// Whether a number came before is asked of 1.3 only once the record has opened: how
// long the answer takes would tell it, and it is encrypted (RFC 9147 4.5.1). In 1.2
// anybody can read it, and it is asked first (RFC 6347 4.1.2.6).
//
// RFC 9147 4.5.1 [4]; RFC 6347 4.1.2.6 [4]
func TestReplayDamaged(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		client, server := with(version)
		s := established(t, client, server)
		record := s.client.seal("data")
		s.server.receive(record)
		record[len(record)-1] ^= 1
		s.server.receive(record)
		want := DropStats{Replay: 1}
		if s.server.version.Is13() {
			want = DropStats{Authentication: 1}
		}
		if got := s.server.Stats().Dropped; got != want {
			t.Errorf("dropped %+v", got)
		}
	})
}
