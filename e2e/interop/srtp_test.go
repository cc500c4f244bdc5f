package interop

import (
	"crypto"
	"crypto/tls"
	"fmt"
	"reflect"
	"testing"

	"github.com/godwit-dtls/godwit/dtls"
	pion "github.com/pion/dtls/v3"
	"github.com/pion/srtp/v3"
)

// TestPionSRTP agrees with pion/dtls on each profile, with a master key identifier that
// both have, that one has, and without any, in both roles. The keys must be those
// that pion/srtp takes of pion's side.
func TestPionSRTP(t *testing.T) {
	for _, profile := range []dtls.SRTPProfile{
		dtls.SRTPAES128CMHMACSHA1_80, dtls.SRTPAES128CMHMACSHA1_32, dtls.SRTPAEADAES128GCM, dtls.SRTPAEADAES256GCM,
	} {
		for _, identifiers := range []struct{ ours, theirs, agreed string }{
			{"", "", ""}, {"key 1", "key 1", "key 1"}, {"key 1", "", ""}, {"", "key 1", ""},
		} {
			for _, role := range []string{"client", "server"} {
				t.Run(fmt.Sprintf("%v/%q and %q/godwit is the %s", profile, identifiers.ours, identifiers.theirs, role), func(t *testing.T) {
					t.Parallel()
					config, options := srtpPeers(t, profile, identifiers.ours, identifiers.theirs)
					ours, theirs := shake(t, role, config, options)
					defer ours.Close()
					defer theirs.Close()
					if got := ours.ConnectionState(); got.SRTPProfile != profile || string(got.SRTPMasterKeyIdentifier) != identifiers.agreed {
						t.Errorf("%v with %q", got.SRTPProfile, got.SRTPMasterKeyIdentifier)
					}
					if got, ok := theirs.SelectedSRTPProtectionProfile(); !ok || uint16(got) != uint16(profile) {
						t.Errorf("pion: %v", got)
					}
					got, err := ours.SRTPKeys()
					if err != nil {
						t.Fatal(err)
					}
					want := pionKeys(t, theirs, profile, role == "server")
					if !reflect.DeepEqual(got, want) {
						t.Errorf("%x, pion has %x", got, want)
					}
				})
			}
		}
	}
}

// srtpPeers are what godwit and pion need, each with a certificate of its own; godwit
// knows pion's by its fingerprint.
func srtpPeers(t *testing.T, profile dtls.SRTPProfile, ours, theirs string) (*dtls.Config, []pion.Option) {
	t.Helper()
	var certificates [2]tls.Certificate
	for i := range certificates {
		var err error
		if certificates[i], err = dtls.SelfSigned(); err != nil {
			t.Fatal(err)
		}
	}
	config := &dtls.Config{
		MaxVersion:              dtls.VersionDTLS12,
		Certificates:            certificates[:1],
		PeerFingerprints:        []string{dtls.Fingerprint(crypto.SHA256, certificates[1].Certificate[0])},
		SRTPProfiles:            []dtls.SRTPProfile{profile},
		SRTPMasterKeyIdentifier: []byte(ours),
	}
	return config, []pion.Option{
		pion.WithCertificates(certificates[1]),
		pion.WithInsecureSkipVerify(true),
		pion.WithExtendedMasterSecret(pion.RequireExtendedMasterSecret),
		pion.WithSRTPProtectionProfiles(pion.SRTPProtectionProfile(profile)),
		pion.WithSRTPMasterKeyIdentifier([]byte(theirs)),
	}
}

// pionKeys are the keys that pion's WebRTC stack would use.
func pionKeys(t *testing.T, c *pion.Conn, profile dtls.SRTPProfile, client bool) dtls.SRTPKeys {
	t.Helper()
	state, ok := c.ConnectionState()
	if !ok {
		t.Fatal("pion has no state")
	}
	config := srtp.Config{Profile: srtp.ProtectionProfile(profile)}
	if err := config.ExtractSessionKeysFromDTLS(&state, client); err != nil {
		t.Fatal(err)
	}
	k := config.Keys
	if client {
		return dtls.SRTPKeys{ClientMasterKey: k.LocalMasterKey, ClientMasterSalt: k.LocalMasterSalt, ServerMasterKey: k.RemoteMasterKey, ServerMasterSalt: k.RemoteMasterSalt}
	}
	return dtls.SRTPKeys{ClientMasterKey: k.RemoteMasterKey, ClientMasterSalt: k.RemoteMasterSalt, ServerMasterKey: k.LocalMasterKey, ServerMasterSalt: k.LocalMasterSalt}
}
