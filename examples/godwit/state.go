package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"

	"github.com/godwit-dtls/godwit/dtls"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// A state is what -state keeps of connections that are open when the program ends,
// and goes on with when it starts again. Whoever reads the file can be either peer.
// It is taken away before it is used, since two programs that went on with one
// connection would use the same keys with the same record numbers.
type state struct {
	file string
	mu   sync.Mutex

	Key         []byte            `json:"key"` // of the blobs
	Connections []savedConnection `json:"connections"`
}

type savedConnection struct {
	Local string `json:"local"` // the address that its peer knows
	Blob  []byte `json:"blob"`
}

// openState reads the file, if there is one, and takes it away.
func (o *options) openState() error {
	if o.stateFile == "" {
		return nil
	}
	if o.transport == protocol.Stream {
		return errors.New("-state keeps connections of DTLS only")
	}
	if o.resume > 0 {
		return errors.New("-state and -resume don't go together")
	}
	o.config.InsecureImportWithoutStore = true // the file is the one place where it is
	o.state = &state{file: o.stateFile}
	text, err := os.ReadFile(o.stateFile)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(text, o.state)
	}
	if err == nil {
		err = os.Remove(o.stateFile)
	}
	return err
}

// take returns the connections that were kept, and their key, and begins anew.
func (s *state) take() (saved []savedConnection, key []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	saved, key = s.Connections, s.Key
	s.Connections, s.Key = nil, make([]byte, 32)
	rand.Read(s.Key) // never fails
	return saved, key
}

// leave ends a connection: with -state it is kept, else closed.
func (o *options) leave(c conn) {
	if o.state != nil {
		o.state.keep(c.(*dtls.Conn))
	}
	c.Close()
}

// keep adds a connection, if it is open.
func (s *state) keep(c *dtls.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if blob, err := c.Export(s.Key); err == nil {
		s.Connections = append(s.Connections, savedConnection{c.LocalAddr().String(), blob})
	}
}

// save writes the file, if there is something to keep.
func (s *state) save() error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.Connections) == 0 {
		return nil
	}
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return os.WriteFile(s.file, text, 0o600) // secrets
}

// goOn is a client's connection from the file, or nil. It goes on from the same
// address, if that is to be had; from another one it needs a connection ID.
func (o *options) goOn() (conn, error) {
	if o.state == nil {
		return nil, nil
	}
	saved, key := o.state.take()
	if len(saved) == 0 {
		return nil, nil
	}
	local, err := net.ResolveUDPAddr("udp", saved[0].Local)
	if err != nil {
		return nil, err
	}
	link, err := (&net.Dialer{LocalAddr: local}).Dial("udp", o.address)
	if err != nil {
		link, err = net.Dial("udp", o.address)
	}
	if err != nil {
		return nil, err
	}
	c, err := dtls.Import(link, &o.config, saved[0].Blob, key)
	if err != nil {
		link.Close()
		return nil, fmt.Errorf("%s: %w", o.stateFile, err)
	}
	return c, nil
}

// goOnServing are a server's connections from the file.
func (o *options) goOnServing(l net.Listener) (all []conn, err error) {
	if o.state == nil {
		return nil, nil
	}
	saved, key := o.state.take()
	for _, s := range saved {
		c, err := l.(*dtls.Listener).Import(nil, s.Blob, key)
		if err != nil {
			return all, fmt.Errorf("%s: %w", o.stateFile, err)
		}
		all = append(all, c)
	}
	return all, nil
}
