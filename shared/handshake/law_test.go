package handshake

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The laws are written from the RFCs and not from Graph: both peers walk the
// same Graph, so a mistake in it is one that they would agree on.

// sane reports whether the facts can occur together.
func sane(f Facts) bool {
	has := func(x Facts) bool { return f&x == x }
	v13, v12 := has(V13), !has(V13)
	dtls13 := v13 && has(Datagram)
	implies := func(x Facts, then bool) bool { return !has(x) || then }
	return implies(Retry, v13 || has(Datagram)) && // RFC 5246 has no way to ask again
		implies(Resumed, !has(ServerCert)) &&
		implies(CertRequested, has(ServerCert)) && // RFC 5246 7.4.4, RFC 9846 4.4.2
		implies(ClientCert, has(CertRequested)) &&
		implies(Stapled, v12 && has(ServerCert)) && // 1.3 staples in Certificate, RFC 9846 4.5.1.1
		implies(KeyTransport, v12 && has(ServerCert)) && // RFC 5246 7.4.7.1
		implies(KeyExchange, v12 && !has(Resumed) && !has(ServerCert)) &&
		implies(Ticket, v12) &&
		implies(EarlyData, v13 && has(Resumed) && !has(Retry)) && // RFC 9846 4.3.10
		implies(ClientCID, dtls13) && implies(ServerCID, dtls13) &&
		(v12 || has(Resumed) || has(ServerCert)) && // RFC 9846 2: a certificate or a PSK
		!has(Due) // ends with each message
}

// broken names the first law that a finished handshake breaks, in which the
// server asked so many times for another ClientHello.
func broken(f Facts, asked int, path []Step) string {
	has := func(x Facts) bool { return f&x == x }
	full12 := !has(V13) && !has(Resumed)
	full13 := has(V13) && !has(Resumed)
	once := map[bool]int{true: 1}
	times := map[Step]int{
		ClientHello:             1,
		HelloVerifyRequest:      asked * once[!has(V13)],
		HelloRetryRequest:       once[asked > 0 && has(V13)],
		ClientHelloAgain:        asked,
		ServerHello:             1,
		EncryptedExtensions:     once[has(V13)],
		ServerCertificate:       once[has(ServerCert)],
		CertificateStatus:       once[has(Stapled)],
		ServerKeyExchange:       once[full12 && has(ServerCert) && !has(KeyTransport) || has(KeyExchange)], // RFC 5246 7.4.3
		CertificateRequest:      once[has(CertRequested)],
		ServerCertificateVerify: once[full13],
		ServerHelloDone:         once[full12],
		EndOfEarlyData:          once[has(EarlyData) && !has(Datagram)], // RFC 9147 5.6
		ClientCertificate:       once[has(CertRequested)],
		ClientKeyExchange:       once[full12],
		ClientCertificateVerify: once[has(ClientCert)],
		ClientChangeCipherSpec:  once[!has(V13)],
		ClientFinished:          1,
		NewSessionTicket:        once[has(Ticket)], // RFC 5077 3.3
		ServerChangeCipherSpec:  once[!has(V13)],
		ServerFinished:          1,
	}
	for s := range numSteps {
		seen := 0
		for _, p := range path {
			if p == s {
				seen++
			}
		}
		if seen != times[s] {
			return s.String() + " too often or too seldom"
		}
	}
	order := []Step{ClientHello, HelloVerifyRequest, HelloRetryRequest, ClientHelloAgain, ServerHello}
	switch {
	case has(V13): // RFC 9846 2, figure 1, and appendix A
		order = append(order, EncryptedExtensions, CertificateRequest, ServerCertificate, ServerCertificateVerify,
			ServerFinished, EndOfEarlyData, ClientCertificate, ClientCertificateVerify, ClientFinished)
	case has(Resumed): // RFC 5246 7.3, figure 2; RFC 5077 3.1, figure 2
		order = append(order, NewSessionTicket, ServerChangeCipherSpec, ServerFinished,
			ClientChangeCipherSpec, ClientFinished)
	default: // RFC 5246 7.3, figure 1; RFC 5077 3.1, figure 1; RFC 6066 8
		order = append(order, ServerCertificate, CertificateStatus, ServerKeyExchange, CertificateRequest, ServerHelloDone,
			ClientCertificate, ClientKeyExchange, ClientCertificateVerify, ClientChangeCipherSpec, ClientFinished,
			NewSessionTicket, ServerChangeCipherSpec, ServerFinished)
	}
	last := 0
	for i, s := range path {
		if s == HelloVerifyRequest && i > 1 && path[i-1] == ClientHelloAgain {
			last = slices.Index(order, ClientHello) // and once more: RFC 6347 4.2.1
		}
		at := slices.Index(order, s)
		if at < last {
			return s.String() + " too early"
		}
		last = at
	}
	return ""
}

// mayFollow reports whether a message may be written after the handshake.
func mayFollow(f Facts, s Step) bool {
	switch s {
	case PostTicket, ClientKeyUpdate, ServerKeyUpdate: // RFC 9846 4.7
		return f&V13 != 0
	// RFC 9147 9: who receives no connection IDs can't give new ones, and who
	// sends none can't ask for more.
	case ClientNewConnectionID, ServerRequestConnectionID:
		return f&ClientCID != 0
	case ServerNewConnectionID, ClientRequestConnectionID:
		return f&ServerCID != 0
	}
	return false
}

func TestContradictionEndsTheRoad(t *testing.T) {
	p := Place{At: ClientHello}
	p.Learn(Datagram, true)
	p.Learn(V13, true)
	if _, ok := p.Read(HelloVerifyRequest); ok {
		t.Error("HelloVerifyRequest is accepted by a client that has 1.3 alone")
	}
	e, ok := p.Read(ServerHello)
	if !ok {
		t.Fatal("ServerHello is refused")
	}
	if q := p; q.Move(e) {
		t.Error("a ServerHello that says nothing is taken")
	}
	p.Learn(V13, false)
	p.Learn(Resumed|ServerCert|Ticket|ClientCID|ServerCID, false)
	if p.Move(e) || p.At != ClientHello {
		t.Error("a ServerHello that takes the version back is taken")
	}
	if _, ok := p.Read(ServerHello); ok {
		t.Error("a step is accepted after a contradiction")
	}
	if _, n := p.Write(); n != 0 {
		t.Error("a step is written after a contradiction")
	}
}

// TestVersionAfterHelloRequests: no handshake has both kinds of request, and a
// HelloVerifyRequest leads to 1.2 alone.
func TestVersionAfterHelloRequests(t *testing.T) {
	verify, retry := EntryPlace(HelloVerifyRequest), EntryPlace(HelloRetryRequest)
	for _, p := range []*Place{&verify, &retry} {
		if e, n := p.Write(); n != 1 || e.To != ClientHelloAgain || !p.Move(e) {
			t.Fatalf("%v follows %v", e.To, p.At)
		}
	}
	if _, ok := verify.Read(HelloRetryRequest); ok {
		t.Error("HelloRetryRequest is accepted after HelloVerifyRequest")
	}
	if _, ok := verify.Read(HelloVerifyRequest); !ok {
		t.Error("a second HelloVerifyRequest is refused")
	}
	for _, s := range []Step{HelloVerifyRequest, HelloRetryRequest} {
		if _, ok := retry.Read(s); ok {
			t.Errorf("%v is accepted after HelloRetryRequest", s)
		}
	}
	e, ok := verify.Read(ServerHello)
	if !ok {
		t.Fatal("ServerHello is refused after HelloVerifyRequest")
	}
	verify.Learn(V13|ServerCert, true)
	verify.Learn(Resumed, false)
	if verify.Move(e) {
		t.Error("a ServerHello of 1.3 is accepted after HelloVerifyRequest")
	}
}

// TestOneAssignment: where a handshake stands is assigned by Move alone, and
// Move is called from one place in the machine.
func TestOneAssignment(t *testing.T) {
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	files := token.NewFileSet()
	callers := map[string]int{}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(files, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			ast.Inspect(f, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.AssignStmt:
					for _, left := range n.Lhs {
						if s, ok := left.(*ast.SelectorExpr); ok && s.Sel.Name == "At" && f.Name.Name != "Move" {
							t.Errorf("%v: %s assigns At", files.Position(n.Pos()), f.Name.Name)
						}
					}
				case *ast.CallExpr:
					if s, ok := n.Fun.(*ast.SelectorExpr); ok && s.Sel.Name == "Move" {
						callers[f.Name.Name]++
					}
				}
				return true
			})
		}
	}
	delete(callers, "EntryPlace")
	if !maps.Equal(callers, map[string]int{"cross": 1}) {
		t.Errorf("Move is called by %v, want cross alone, once", callers)
	}
}
