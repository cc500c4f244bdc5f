// Package dtls has the API of pion/dtls v3, as pion/webrtc and go-coap use it, on
// top of godwit: with one replace line in go.mod a program that is written for Pion
// speaks DTLS 1.3 and 1.2, with X25519MLKEM768 first.
//
//	replace github.com/pion/dtls/v3 => .../godwit/e2e/pion
//
// Names and signatures are Pion's; the code is godwit's alone. docs/from-pion.md of
// godwit goes through the options one by one: what each does here, what godwit's own
// Config calls it, and the few that are refused. Nothing that was asked for and
// would make a connection safer is passed over in silence.
//
// Files: config.go and options.go are what an application says, translate.go what
// that means for godwit; conn.go, link.go, listener.go and state.go are connections.
package dtls
