package interop

import (
	"crypto/sha256"
	cryptotls "crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/codes"
	"github.com/plgd-dev/go-coap/v3/udp/coder"

	"github.com/godwit-dtls/godwit/dtls"
	"github.com/godwit-dtls/godwit/e2e/peer"
	"github.com/godwit-dtls/godwit/e2e/pki"
	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/suite"
)

// A coapRow is one conversation between godwit and libcoap. godwit's side is in
// this process.
type coapRow struct {
	libcoap peer.LibCoAP
	suite   string    // godwit's only one
	psk     *peer.PSK // or
	kind    pki.Kind
	verify  bool // the client is authenticated too
}

func (r coapRow) String() string {
	parts := []string{r.libcoap.Library, r.suite}
	switch {
	case r.psk != nil && r.psk.Hint != "":
		parts = append(parts, "hint")
	case r.verify:
		parts = append(parts, "client certificate")
	}
	return strings.Join(parts, "/")
}

// coapRows has every suite with each library, PSK with and without a hint, and
// certificates with and without one of the client.
func coapRows() []coapRow {
	var rows []coapRow
	add := func(r coapRow) {
		switch {
		case strings.Contains(r.suite, "_CBC_"): // not with its server over OpenSSL
		case r.libcoap.Library == "gnutls" && strings.HasSuffix(r.suite, "_AES_256_CCM_8"): // it turns on that of AES-128 alone
		default:
			rows = append(rows, r)
		}
	}
	for _, library := range []string{"openssl", "gnutls"} {
		libcoap := peer.LibCoAP{Library: library}
		for _, suite := range peer.PSKSuites(peer.DTLS12) {
			for _, hint := range []string{"", "waders"} {
				add(coapRow{libcoap: libcoap, suite: suite,
					psk: &peer.PSK{Identity: "curlew", Key: hex.EncodeToString([]byte("sixteen letters.")), Hint: hint}})
			}
		}
		for _, verify := range []bool{false, true} {
			for _, suite := range slices.Concat(peer.Suites(peer.DTLS12, pki.ECDSA), peer.CCMSuites(peer.DTLS12)) {
				add(coapRow{libcoap: libcoap, suite: suite, kind: pki.ECDSA, verify: verify})
			}
			for _, suite := range peer.Suites(peer.DTLS12, pki.RSA) {
				add(coapRow{libcoap: libcoap, suite: suite, kind: pki.RSA, verify: verify})
			}
		}
	}
	return rows
}

// server and client are what libcoap is told in each role.
func (r coapRow) server() peer.Settings {
	s := peer.Settings{PSK: r.psk, Leaf: credentials.server[r.kind]}
	if r.verify {
		s.Root, s.Verify = credentials.root, true
	}
	return s
}

func (r coapRow) client() peer.Settings {
	s := peer.Settings{PSK: r.psk}
	if r.psk == nil {
		s.Root = credentials.root
	}
	if r.verify {
		s.Leaf = credentials.client[r.kind]
	}
	return s
}

// serverConfig and clientConfig are the same for godwit.
func (r coapRow) serverConfig(t *testing.T) *dtls.Config {
	t.Helper()
	config := r.config(t)
	if r.psk != nil {
		config.PSKIdentityHint = []byte(r.psk.Hint)
		return config
	}
	config.Certificates = certificates(t, credentials.server[r.kind])
	if r.verify {
		config.ClientAuth, config.ClientCAs = cryptotls.RequireAndVerifyClientCert, roots(t)
	}
	return config
}

func (r coapRow) clientConfig(t *testing.T) *dtls.Config {
	t.Helper()
	config := r.config(t)
	if r.psk != nil {
		return config
	}
	config.RootCAs, config.ServerName = roots(t), pki.Host
	if r.verify {
		config.Certificates = certificates(t, credentials.client[r.kind])
	}
	return config
}

func (r coapRow) config(t *testing.T) *dtls.Config {
	t.Helper()
	config := &dtls.Config{CipherSuites: []uint16{suite.ByName(r.suite).ID}}
	if r.psk != nil {
		key, err := hex.DecodeString(r.psk.Key)
		if err != nil {
			t.Fatal(err)
		}
		psk := &dtls.ExternalPSK{Identity: []byte(r.psk.Identity), Key: key, Use: dtls.PSKDirect}
		config.Credentials = []dtls.Credential{{PSK: psk}}
	}
	return config
}

// check compares what godwit knows of a conversation with the row. The leaf is
// what libcoap should have shown, nil if none.
func (r coapRow) check(t *testing.T, state dtls.ConnectionState, leaf *pki.Leaf) {
	t.Helper()
	identity, shown, want := "", "", ""
	if r.psk != nil {
		identity, leaf = r.psk.Identity, nil
	}
	if len(state.PeerCertificates) > 0 {
		digest := sha256.Sum256(state.PeerCertificates[0].Raw)
		shown = hex.EncodeToString(digest[:])
	}
	if leaf != nil {
		want = leaf.Fingerprint
	}
	if got := suite.ByID(state.CipherSuite); state.Version != dtls.VersionDTLS12 || got == nil || got.Name != r.suite ||
		string(state.PSKIdentity) != identity || shown != want {
		t.Errorf("version %#x, suite %v, identity %q, certificate %q, expected 1.2, %s, %q, %q",
			state.Version, got, state.PSKIdentity, shown, r.suite, identity, want)
	}
}

// TestCoAPServer lets godwit ask coap-server: it puts a text there and gets it
// back.
func TestCoAPServer(t *testing.T) {
	for _, r := range coapRows() {
		t.Run(r.String(), func(t *testing.T) {
			t.Parallel()
			server := r.libcoap.Serve(t, r.server())
			defer func() {
				if t.Failed() {
					t.Log(server.Output(""))
				}
			}()
			config := r.clientConfig(t)
			hint := []byte("none was asked for")
			if r.psk != nil {
				psk := config.Credentials[0].PSK
				config.Credentials = nil
				config.GetClientPSK = func(h []byte, _ dtls.ConnectionState) (*dtls.ExternalPSK, error) {
					hint = h
					return psk, nil
				}
			}
			conn, err := dtls.Dial("udp", server.Address(), config)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			r.check(t, conn.ConnectionState(), r.server().Leaf)
			if r.psk != nil && string(hint) != r.psk.Hint {
				t.Errorf("the hint was %q, expected %q", hint, r.psk.Hint)
			}
			for id, exchange := range []struct {
				method, answer codes.Code
				path, payload  string
				want           string // in the answer
			}{
				{codes.PUT, codes.Created, "/egg", peer.Text, ""},
				{codes.GET, codes.Content, "/egg", "", peer.Text},
				{codes.GET, codes.Content, "/.well-known/core", "", "</egg>"},
			} {
				answer := ask(t, conn, int32(id), exchange.method, exchange.path, exchange.payload)
				if answer.Code != exchange.answer || !strings.Contains(string(answer.Payload), exchange.want) {
					t.Errorf("%v %s: %v %q, expected %v %q", exchange.method, exchange.path,
						answer.Code, answer.Payload, exchange.answer, exchange.want)
				}
			}
		})
	}
}

// ask sends a confirmable request and returns the answer on its acknowledgement
// (RFC 7252 5.2.1). It sends again what gets none (4.2): coap-server over GnuTLS
// loses the datagrams that come behind a repeated flight of ours.
func ask(t *testing.T, conn *dtls.Conn, id int32, method codes.Code, path, payload string) message.Message {
	t.Helper()
	options, _, err := make(message.Options, 0, 8).SetPath(make([]byte, 100), path)
	if err != nil {
		t.Fatal(err)
	}
	request := message.Message{
		Type: message.Confirmable, Code: method, MessageID: id, Token: message.Token{7, byte(id)},
		Options: options, Payload: []byte(payload),
	}
	var answer message.Message
	for range 30 {
		if err = send(conn, request); err != nil {
			break
		}
		conn.SetReadDeadline(time.Now().Add(2 * time.Second))
		answer, err = receive(conn)
		for err == nil && answer.MessageID != id { // an earlier one comes twice
			answer, err = receive(conn)
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	if answer.Type != message.Acknowledgement || string(answer.Token) != string(request.Token) {
		t.Fatalf("%v doesn't answer %v", answer, request)
	}
	return answer
}

func send(conn *dtls.Conn, m message.Message) error {
	buf := make([]byte, 1024)
	n, err := coder.DefaultCoder.Encode(m, buf)
	if err == nil {
		_, err = conn.Write(buf[:n])
	}
	return err
}

func receive(conn *dtls.Conn) (message.Message, error) {
	m := message.Message{Options: make(message.Options, 0, 16)}
	buf := make([]byte, 2048)
	n, err := conn.Read(buf)
	if err == nil {
		_, err = coder.DefaultCoder.Decode(buf[:n], &m)
	}
	return m, err
}

// TestCoAPClient is the other way round: coap-client puts a text at godwit, and
// another one gets it.
func TestCoAPClient(t *testing.T) {
	for _, r := range coapRows() {
		t.Run(r.String(), func(t *testing.T) {
			t.Parallel()
			peer.Find(t, "coap-client-"+r.libcoap.Library)
			nest := newNest(t, r.serverConfig(t))
			_, said := r.libcoap.Request(t, r.client(), "put", nest.url, url.PathEscape(peer.Text))
			got, more := r.libcoap.Request(t, r.client(), "get", nest.url, "")
			if got != peer.Text {
				t.Errorf("the client got %q, expected %q", got, peer.Text)
			}
			if r.psk != nil && r.psk.Hint != "" && !strings.Contains(said, "Identity Hint '"+r.psk.Hint+"' provided") {
				t.Error("the client saw no hint")
			}
			for range 2 {
				conversation := nest.next(t)
				if conversation.err != nil {
					t.Error(conversation.err)
				}
				r.check(t, conversation.state, r.client().Leaf)
			}
			if t.Failed() {
				t.Log(said, more)
			}
		})
	}
}

// A nest is a CoAP server that keeps one resource, the last that was PUT.
type nest struct {
	url           string
	conversations chan conversation
}

// A conversation is how one connection with a nest went.
type conversation struct {
	state dtls.ConnectionState
	err   error
}

func newNest(t *testing.T, config *dtls.Config) nest {
	t.Helper()
	listener, err := dtls.Listen("udp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	n := nest{fmt.Sprintf("coaps://%v/egg", listener.Addr()), make(chan conversation, 2)}
	var serving sync.WaitGroup
	serving.Go(func() {
		var resource []byte
		for {
			conn, err := listener.AcceptConn()
			if err != nil {
				return
			}
			conn.SetDeadline(time.Now().Add(deadline))
			if err = conn.Handshake(); err == nil {
				err = answer(conn, &resource)
			}
			select {
			case n.conversations <- conversation{conn.ConnectionState(), err}:
			case <-t.Context().Done():
			}
			conn.Close()
		}
	})
	t.Cleanup(func() {
		listener.Close()
		serving.Wait()
	})
	return n
}

// next waits for the end of a conversation.
func (n nest) next(t *testing.T) conversation {
	t.Helper()
	select {
	case c := <-n.conversations:
		return c
	case <-time.After(deadline):
		t.Fatal("nobody came")
		return conversation{}
	}
}

// answer answers one request for the resource.
func answer(conn *dtls.Conn, resource *[]byte) error {
	request, err := receive(conn)
	if err != nil {
		return err
	}
	response := message.Message{Type: message.Acknowledgement, MessageID: request.MessageID, Token: request.Token}
	path, err := request.Options.Path()
	switch {
	case err != nil:
		return err
	case path != "/egg":
		response.Code = codes.NotFound
	case request.Code == codes.PUT:
		*resource, response.Code = request.Payload, codes.Changed
	case request.Code == codes.GET:
		response.Payload, response.Code = *resource, codes.Content
	}
	return send(conn, response)
}

// TestCoAPRefusals are handshakes that must fail, at godwit and at libcoap. A
// wrong key is not among them: over datagrams it is just lost.
func TestCoAPRefusals(t *testing.T) {
	for library, missing := range map[string]dtls.Alert{ // for who shows no certificate
		"openssl": alert.HandshakeFailure,
		"gnutls":  alert.BadCertificate,
	} {
		r := coapRow{libcoap: peer.LibCoAP{Library: library}, suite: peer.Suites(peer.DTLS12, pki.ECDSA)[0], kind: pki.ECDSA}
		verified := r
		verified.verify = true
		stranger := r.client()
		stranger.Root = credentials.foreignRoot

		for _, test := range []struct {
			name   string
			config *dtls.Config // of godwit's server
			client peer.Settings
			want   dtls.Error
		}{
			{"server of another root", r.serverConfig(t), stranger, dtls.Error{Alert: alert.UnknownCA, Received: true}},
			{"no client certificate", verified.serverConfig(t), r.client(), dtls.Error{Alert: alert.HandshakeFailure}},
		} {
			t.Run("client/"+library+"/"+test.name, func(t *testing.T) {
				t.Parallel()
				peer.Find(t, "coap-client-"+library)
				nest := newNest(t, test.config)
				got, said := r.libcoap.Request(t, test.client, "get", nest.url, "")
				if got != "" {
					t.Errorf("the client got %q", got)
				}
				expectFault(t, nest.next(t).err, test.want, said)
			})
		}

		distrusts := r.clientConfig(t)
		distrusts.RootCAs = nil // the system's
		for _, test := range []struct {
			name   string
			server peer.Settings
			config *dtls.Config // of godwit's client
			want   dtls.Error
		}{
			{"server of another root", r.server(), distrusts, dtls.Error{Alert: alert.UnknownCA}},
			{"no client certificate", verified.server(), r.clientConfig(t), dtls.Error{Alert: missing, Received: true}},
		} {
			t.Run("server/"+library+"/"+test.name, func(t *testing.T) {
				t.Parallel()
				server := r.libcoap.Serve(t, test.server)
				conn, err := dtls.Dial("udp", server.Address(), test.config)
				if err == nil {
					conn.Close()
				}
				expectFault(t, err, test.want, server.Output(""))
			})
		}
	}
}

// expectFault wants an alert, sent or received.
func expectFault(t *testing.T, err error, want dtls.Error, said string) {
	t.Helper()
	var e *dtls.Error
	if !errors.As(err, &e) || e.Alert != want.Alert || e.Received != want.Received {
		t.Errorf("%v, expected %v, received: %v\n%s", err, want.Alert, want.Received, said)
	}
}
