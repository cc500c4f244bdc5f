package session

import (
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha512"
	"sync"
	"time"

	"golang.org/x/crypto/chacha20poly1305"
)

// Keys of our own seal for keyLifetime, and open for as long as a session that
// they sealed may live.
const keyLifetime = 24 * time.Hour

// TicketKeys seal and open tickets:
//
//	key name (16 bytes) | nonce (24 bytes) | XChaCha20-Poly1305 of a State
//
// The nonce is random, and long enough for that under a key that is used for
// good. The name is that of the key, so that a ticket of somebody else costs
// nothing but a comparison; it is authenticated with the rest.
type TicketKeys struct {
	mu    sync.Mutex
	keys  []ticketKey // the first seals, all open
	given bool        // not rotated

	replays *ReplayRegister // see AntiReplay
}

type ticketKey struct {
	name [nameSize]byte
	aead cipher.AEAD
	made time.Time
}

const (
	nameSize = 16
	sealed   = nameSize + chacha20poly1305.NonceSizeX + chacha20poly1305.Overhead // beyond the State
)

// NewTicketKeys returns the given keys, of which the first seals and all open;
// without any, keys of its own that rotate daily.
func NewTicketKeys(given [][32]byte) *TicketKeys {
	k := &TicketKeys{given: len(given) > 0}
	for i := range given {
		k.keys = append(k.keys, makeKey(&given[i], time.Time{}))
	}
	return k
}

// makeKey makes name and key of a seed.
func makeKey(seed *[32]byte, now time.Time) ticketKey {
	digest := sha512.Sum512(append([]byte("godwit session ticket key\x00"), seed[:]...))
	aead, err := chacha20poly1305.NewX(digest[nameSize : nameSize+chacha20poly1305.KeySize])
	if err != nil {
		panic("session: " + err.Error()) // only for another length
	}
	return ticketKey{[nameSize]byte(digest[:nameSize]), aead, now}
}

// rotate makes a new key when the newest is old, and drops what nothing needs
// that is still alive.
func (k *TicketKeys) rotate(now time.Time) {
	if k.given || len(k.keys) > 0 && now.Sub(k.keys[0].made) < keyLifetime {
		return
	}
	var seed [32]byte
	rand.Read(seed[:]) // never fails
	fresh := []ticketKey{makeKey(&seed, now)}
	for _, old := range k.keys {
		if now.Sub(old.made) < keyLifetime+MaxLifetime {
			fresh = append(fresh, old)
		}
	}
	k.keys = fresh
}

// Seal makes a ticket of a State.
func (k *TicketKeys) Seal(s *State, now time.Time) ([]byte, error) {
	plain, err := s.Bytes()
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	k.rotate(now)
	key := k.keys[0]
	k.mu.Unlock()
	ticket := make([]byte, nameSize+chacha20poly1305.NonceSizeX, sealed+len(plain))
	copy(ticket, key.name[:])
	nonce := ticket[nameSize:]
	rand.Read(nonce)
	return key.aead.Seal(ticket, nonce, plain, key.name[:]), nil
}

// Open returns the State of a ticket, or nil: it is not ours, was changed, or
// has expired. One that is not sealed with the newest key is to be renewed.
func (k *TicketKeys) Open(ticket []byte, now time.Time) *State {
	if len(ticket) < sealed {
		return nil
	}
	name, rest := ticket[:nameSize], ticket[nameSize:]
	aead, newest := k.find([nameSize]byte(name), now)
	if aead == nil {
		return nil
	}
	plain, err := aead.Open(nil, rest[:chacha20poly1305.NonceSizeX], rest[chacha20poly1305.NonceSizeX:], name)
	if err != nil {
		return nil
	}
	s, err := ParseState(plain)
	if err != nil || s.Expired(now) {
		return nil
	}
	s.Renew = !newest
	return s
}

// AntiReplay is a register for the sessions that these keys seal. It is made
// when it is first needed, and has missed nothing, as nobody had the keys before:
// where they are given to others too, it doesn't know what those have seen.
func (k *TicketKeys) AntiReplay() *ReplayRegister {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.replays == nil {
		k.replays = NewReplayRegister(0, time.Time{})
	}
	return k.replays
}

func (k *TicketKeys) find(name [nameSize]byte, now time.Time) (aead cipher.AEAD, newest bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.rotate(now)
	for i := range k.keys {
		if k.keys[i].name == name {
			return k.keys[i].aead, i == 0
		}
	}
	return nil, false
}
