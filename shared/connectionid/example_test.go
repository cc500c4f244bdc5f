package connectionid_test

import (
	"fmt"

	"github.com/godwit-dtls/godwit/shared/connectionid"
)

// A balancer and a server that share a Routing.
func ExampleRouter() {
	routing := connectionid.Routing{Key: [16]byte{ /* secret */ 15: 1}, ServerLen: 1, NonceLen: 8}

	server, err := connectionid.NewRouter(routing)
	if err != nil {
		panic(err)
	}
	ids, err := server.Generator(3) // for Listeners
	if err != nil {
		panic(err)
	}

	balancer, err := connectionid.NewRouter(routing)
	if err != nil {
		panic(err)
	}
	datagram := append([]byte{0b0011_1100}, ids.New()...) // the first bytes of a record of DTLS 1.3
	fmt.Println(balancer.Server(connectionid.InDatagram(datagram)))
	// Output: 3 true
}
