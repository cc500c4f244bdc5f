package main

import "errors"

// bare is what the others are measured by: their work without a protocol.
type bare struct{}

func (bare) name() string { return "bare" }

func (bare) records(size int) (task, error) { return newBareAEAD(size), nil }

// handshakes is the public-key work alone, of which a session that is resumed
// needs none.
func (bare) handshakes(h handshake) (task, error) {
	if h.resumes {
		return nil, errors.ErrUnsupported
	}
	return publicKeys{h.group}, nil
}

func (bare) idle(int) (task, error)     { return nil, errors.ErrUnsupported }
func (bare) listener(int) (task, error) { return nil, errors.ErrUnsupported }
