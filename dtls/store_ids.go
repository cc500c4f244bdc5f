package dtls

import (
	"context"
	"errors"
	"slices"
)

// A Listener gets records with connection IDs that it has never seen, when their
// connection was another process's that is gone. So beside the state of a
// connection, under its name, the Store has that name under each of its IDs. The
// IDs follow the state: they are known here before the peer learns of them, and go
// when they are retired or the connection ends.

// idName is under what a Store has the name of the connection with an ID.
func idName(id []byte) string { return "id" + string(id) }

// listed are the IDs under which the connection shall be found: of a Listener's.
func (e *Engine) listed() [][]byte {
	if e.ids.register == nil || e.err != nil || e.closing.sent {
		return nil
	}
	return slices.Clone(e.ids.local)
}

// stillListed are those of them that the blob of an Export knows, too.
func (e *Engine) stillListed() [][]byte {
	return slices.DeleteFunc(slices.Clone(e.reserve.listed), func(id []byte) bool {
		return !slices.ContainsFunc(e.ids.local, sameAs(id))
	})
}

// list makes the Store know the name under new IDs, and no more under those that
// are not in use.
func (s *save) list(ctx context.Context) error {
	for _, id := range s.ids {
		if !slices.ContainsFunc(s.listed, sameAs(id)) {
			if err := s.rename(ctx, id, []byte(s.name)); err != nil {
				return err
			}
		}
	}
	for _, id := range slices.Concat(s.listed, s.inherited) {
		if !slices.ContainsFunc(s.ids, sameAs(id)) {
			if err := s.rename(ctx, id, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// rename stores what an ID leads to, whatever that was: only one connection of all
// that use the Store has the ID now.
func (s *save) rename(ctx context.Context, id, name []byte) error {
	was, generation, err := s.store.Load(ctx, idName(id))
	switch {
	case err != nil:
		return err
	case string(was) == string(name):
		return nil
	case name == nil && string(was) != s.name: // somebody else has it by now
		return nil
	}
	_, err = s.store.Swap(ctx, idName(id), generation, name)
	if errors.Is(err, ErrGeneration) {
		return nil // so does this: the other one knows better
	}
	return err
}

func sameAs(id []byte) func([]byte) bool {
	return func(other []byte) bool { return string(other) == string(id) }
}
