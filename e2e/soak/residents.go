package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
)

// Residents stay from the beginning to the end: one of each version at each server. They
// talk all the time, change keys, connection IDs and addresses, and move from process to
// process.
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
			r.residents.Go(func() { r.reside(ctx, v, c, l) })
			r.residing++
		}
	}
	return nil
}

// residentSeeds are beyond those of visits.
const residentSeeds = 1 << 60

// reside lives on until ctx ends.
func (r *run) reside(ctx context.Context, v *visit, c *dtls.Conn, l *link) {
	defer c.Close()
	name := fmt.Sprintf("resident, %s, %s", v.to.name, versionName(v.version))
	for ctx.Err() == nil {
		r.quiet.RLock()
		err := r.live(v, c, l)
		r.quiet.RUnlock()
		if err != nil {
			r.tally.fail(name, err)
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(100+v.rng.IntN(400)) * time.Millisecond):
		}
	}
}

// live does one thing of many, and wants an echo. The number in deeds tells which.
func (r *run) live(v *visit, c *dtls.Conn, l *link) error {
	ctx, cancel := context.WithTimeout(context.Background(), v.patience.visit)
	defer cancel()
	o := echo
	chance := v.rng.IntN(20)
	v.deeds = append(v.deeds[max(0, len(v.deeds)-7):], chance)
	switch {
	case r.leaving.Load():
	case chance == 0:
		if err := l.move(); err != nil {
			return err
		}
	case chance == 1:
		o = rotate
	case chance == 2:
		o = update
	case chance == 3:
		o = migrate
	case chance == 4 && slices.Contains(v.storing, v.to):
		if err := r.change(ctx, v, c, l); err != nil {
			return err
		}
	case chance == 5 && v.version == dtls.VersionDTLS13:
		if err := c.KeyUpdate(dtls.UpdateRequested); err != nil {
			return err
		}
	}
	if err := v.ask(ctx, c, o); err != nil {
		return fmt.Errorf("%c, after %v: %w", o, v.deeds, err)
	}
	return nil
}

// change goes to the other server with the Store.
func (r *run) change(ctx context.Context, v *visit, c *dtls.Conn, l *link) error {
	if err := v.ask(ctx, c, store); err != nil {
		return err
	}
	other := v.storing[0]
	if v.to == other {
		other = v.storing[1]
	}
	return v.switchTo(other, c, l)
}

func versionName(version uint16) string {
	if version == dtls.VersionDTLS12 {
		return "1.2"
	}
	return "1.3"
}
