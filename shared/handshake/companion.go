package handshake

import (
	"runtime"
	"sync"
	"sync/atomic"
	"weak"

	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/session"
)

// A companion is what is known of a Config but can't stand in it, as a Config is read
// only and copied by value. It lives as long as its Config, and a copy of that has
// one of its own: what it changes may be what kept others out.
type companion struct {
	valid      [Server + 1][protocol.Datagram + 1]atomic.Bool // Validate found nothing
	ticketKeys func() *session.TicketKeys                     // made when they are needed
}

var companions sync.Map // of weak.Pointer[Config] to *companion

func (c *Config) companion() *companion {
	key := weak.Make(c)
	if known, ok := companions.Load(key); ok {
		return known.(*companion)
	}
	given := c.TicketKeys // and not c, which would never be forgotten then
	made := &companion{ticketKeys: sync.OnceValue(func() *session.TicketKeys { return session.NewTicketKeys(given) })}
	known, loaded := companions.LoadOrStore(key, made)
	if !loaded {
		runtime.AddCleanup(c, func(key weak.Pointer[Config]) { companions.Delete(key) }, key)
	}
	return known.(*companion)
}
