package dtls_test

import (
	"strings"
	"testing"

	"github.com/godwit-dtls/godwit/dtls"
)

// A Conn's Write says what is too long for its peer, and goes on.
//
// RFC 9147 4.4 [4]
func TestConnErrTooLong(t *testing.T) {
	client, server := configs(t, 0)
	client.RecordSizeLimit, server.RecordSizeLimit = 100, 64
	l, link := serve(t, newLAN(), server)
	defer l.Close()
	c, s := join(t, l, link, client)
	defer s.Close()
	defer c.Close()
	send(t, c, s, "a greeting")
	for conn, most := range map[*dtls.Conn]int{c: 63, s: 99} {
		if got := conn.ConnectionState().MaxPlaintext; got != most {
			t.Errorf("MaxPlaintext is %d, want %d", got, most)
		}
		if _, err := conn.Write(make([]byte, most+1)); err != dtls.ErrTooLong {
			t.Errorf("%d bytes: %v", most+1, err)
		}
	}
	send(t, c, s, strings.Repeat("x", 63))
	send(t, s, c, strings.Repeat("y", 99))
}
