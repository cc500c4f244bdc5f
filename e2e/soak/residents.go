package main

import (
	"context"
	"fmt"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
)

// A resident stays from the beginning to the end.
type resident struct {
	*visit
	conn *dtls.Conn
	link *link
	past []string // what it did last
}

// A deed is what a resident does before it asks for an echo.
type deed struct {
	name  string
	order order
	do    func(r *resident, ctx context.Context) error // nil: nothing
}

var deeds = []deed{
	{"moves", echo, func(r *resident, _ context.Context) error { return r.link.move() }},
	{"asks for other connection IDs", rotate, nil},
	{"asks for a KeyUpdate", update, nil},
	{"changes keys", echo, (*resident).changeKeys},
	{"asks for a migration", migrate, nil},
	{"goes to the other server with the Store", echo, (*resident).changeServers},
}

// ordinary is to do nothing, which is what most deeds are.
var ordinary = deed{"", echo, nil}

// settleIn lets residents come: one of each version at each server.
func (r *run) settleIn(ctx context.Context) error {
	for i, to := range r.site.datagrams {
		for j, version := range versions {
			v := r.newVisit(residentSeeds + uint64(i*len(versions)+j))
			v.version, v.to, v.config = version, to, r.site.forClient(version, true)
			v.withIDs()
			c, l, err := v.connect(ctx, weather{})
			if err != nil {
				return fmt.Errorf("a resident: %w", err)
			}
			r.residents.Go(func() { r.reside(ctx, &resident{visit: v, conn: c, link: l}) })
			r.residing++
		}
	}
	return nil
}

// residentSeeds are beyond those of visits.
const residentSeeds = 1 << 60

// reside lives on until ctx ends.
func (r *run) reside(ctx context.Context, who *resident) {
	defer who.conn.Close()
	for ctx.Err() == nil {
		r.quiet.RLock()
		err := who.live(r.deedFor(who))
		r.quiet.RUnlock()
		if err != nil {
			r.tally.fail(fmt.Sprintf("resident, %s, %s, who last %q", who.to.name, versionName(who.version), who.past), err)
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(100+who.rng.IntN(400)) * time.Millisecond):
		}
	}
}

// deedFor draws one.
func (r *run) deedFor(who *resident) deed {
	n := who.rng.IntN(4 * len(deeds))
	if n >= len(deeds) || r.leaving.Load() {
		return ordinary
	}
	who.past = append(who.past[max(0, len(who.past)-5):], deeds[n].name)
	return deeds[n]
}

// live does one thing, and wants an echo.
func (r *resident) live(d deed) error {
	ctx, cancel := context.WithTimeout(context.Background(), r.patience.visit)
	defer cancel()
	if d.do != nil {
		if err := d.do(r, ctx); err != nil {
			return err
		}
	}
	return r.ask(ctx, r.conn, d.order)
}

func (r *resident) changeKeys(context.Context) error {
	if r.version == dtls.VersionDTLS12 { // which can't
		return nil
	}
	return r.conn.KeyUpdate(dtls.UpdateRequested)
}

func (r *resident) changeServers(ctx context.Context) error {
	switch r.to {
	case r.storing[0]:
		return r.changeTo(ctx, r.storing[1])
	case r.storing[1]:
		return r.changeTo(ctx, r.storing[0])
	}
	return nil
}

func (r *resident) changeTo(ctx context.Context, other *server) error {
	if err := r.ask(ctx, r.conn, store); err != nil {
		return err
	}
	return r.switchTo(other, r.conn, r.link)
}

func versionName(version uint16) string {
	if version == dtls.VersionDTLS12 {
		return "1.2"
	}
	return "1.3"
}
