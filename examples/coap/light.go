package main

import (
	"bytes"
	"io"
	"log"
	"strings"
	"sync"

	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/codes"
	"github.com/plgd-dev/go-coap/v3/mux"
)

// routes are the resources of the server.
func routes() mux.Handler {
	router := mux.NewRouter()
	router.Handle("/light", &light{state: []byte("off"), observers: make(map[observer]bool)})
	router.HandleFunc("/.well-known/core", func(w mux.ResponseWriter, _ *mux.Message) { // RFC 6690
		respond(w, codes.Content, message.AppLinkFormat, strings.NewReader("</light>;ct=0;obs"))
	})
	return router
}

// A light is a resource that clients GET, PUT and observe.
type light struct {
	mu        sync.Mutex
	state     []byte
	changes   uint32
	observers map[observer]bool
}

// An observer is a client and the token of its request (RFC 7641 1.2).
type observer struct {
	conn  mux.Conn
	token string
}

func (l *light) ServeCOAP(w mux.ResponseWriter, r *mux.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch r.Code() {
	case codes.GET:
		l.get(w, r)
	case codes.PUT:
		l.put(w, r)
	default:
		respond(w, codes.MethodNotAllowed, message.TextPlain, nil)
	}
}

// get answers with the state. Observe 0 in the request registers its client for
// changes, 1 deregisters it (RFC 7641 2).
func (l *light) get(w mux.ResponseWriter, r *mux.Message) {
	respond(w, codes.Content, message.TextPlain, bytes.NewReader(l.state))
	who := observer{w.Conn(), string(r.Token())}
	switch wish, err := r.Observe(); {
	case err != nil: // none
	case wish == 0:
		if !l.observers[who] {
			l.observers[who] = true
			who.conn.AddOnClose(func() { l.forget(who) })
		}
		w.Message().SetObserve(l.changes)
	default:
		delete(l.observers, who)
	}
}

func (l *light) put(w mux.ResponseWriter, r *mux.Message) {
	state, err := r.ReadBody()
	if err != nil {
		respond(w, codes.BadRequest, message.TextPlain, nil)
		return
	}
	l.state = state
	l.changes++
	respond(w, codes.Changed, message.TextPlain, nil)
	for who := range l.observers {
		go l.tell(who, l.changes, state)
	}
}

// tell sends a change to an observer. Its number lets that drop what comes too
// late (RFC 7641 3.4).
func (l *light) tell(who observer, change uint32, state []byte) {
	m := who.conn.AcquireMessage(who.conn.Context())
	defer who.conn.ReleaseMessage(m)
	m.SetCode(codes.Content)
	m.SetToken(message.Token(who.token))
	m.SetObserve(change)
	m.SetContentFormat(message.TextPlain)
	m.SetBody(bytes.NewReader(state))
	if err := who.conn.WriteMessage(m); err != nil {
		l.forget(who)
	}
}

func (l *light) forget(who observer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.observers, who)
}

func respond(w mux.ResponseWriter, code codes.Code, format message.MediaType, body io.ReadSeeker) {
	if err := w.SetResponse(code, format, body); err != nil {
		log.Print(err)
	}
}
