//go:build !dtls12

package dtls

import godwit "github.com/godwit-dtls/godwit/dtls"

// maxVersion is the highest version, if WithGodwit doesn't set another one. The build
// tag dtls12 is for a program that can't pass options on and has to stay with 1.2,
// and shows that all of pion/webrtc's tests pass there.
const maxVersion = godwit.VersionDTLS13
