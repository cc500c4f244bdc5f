// Package tests runs the released tests of pion/webrtc and go-coap, unchanged, on the
// drop-in.
package tests

import (
	_ "github.com/pion/webrtc/v4"
	_ "github.com/plgd-dev/go-coap/v3/dtls"
)
