package main

import (
	"net"

	"github.com/godwit-dtls/godwit/dtls"
)

// How godwit writes and reads many datagrams at once.

func godwitWriteBatch(c conn, data [][]byte) error {
	_, err := c.(*dtls.Conn).WriteBatch(data)
	return err
}

func godwitServe(l net.Listener, handle func(data []byte)) error {
	return l.(*dtls.Listener).Serve(func(_ *dtls.Conn, data []byte) {
		if data != nil { // the connection isn't over
			handle(data)
		}
	})
}
