package handshake

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/netip"
	"time"

	"github.com/pion/logging"
	"github.com/pion/transport/v3"
)

// A Config configures a DTLS or TLS client or server. Its zero value is a
// usable client; a server needs a certificate. It is read only: it may serve
// any number of connections at once, and must not be changed after its first
// use. Field names and meanings are crypto/tls's where it has them.
type Config struct {
	// --- Versions, suites and groups

	// MinVersion and MaxVersion bound the version, in TLS's or DTLS's numbers
	// (VersionTLS12 and VersionDTLS12 mean the same). Zero means 1.2 and 1.3.
	MinVersion, MaxVersion uint16

	// CipherSuites are the enabled suites of both versions, most preferred
	// first. A version of which it names none keeps its default suites: all that
	// CipherSuites, the function, lists.
	//
	// The last of the default suites of 1.2 have tags of 8 bytes, *_CCM_8: devices
	// often have nothing else, and the chance of a forged record is 2^-64 instead of
	// 2^-128. They are used if a peer has no other; name the others to do without.
	//
	// Warning: those that InsecureCipherSuites lists are used only if they are
	// named here. TLS_AES_128_CCM_8_SHA256 must not be used in DTLS but where
	// something else keeps forgeries away (RFC 9147 4.5.3): the association ends after
	// 128 records under one key that don't authenticate, if the peer didn't change the
	// key in time. CBC suites decrypt what is not authenticated yet. Padding and
	// MAC are checked in constant time, but the construction has been broken
	// again and again, in implementations that meant to do so; and SHA-1 is the
	// MAC of most. Suites with key transport (TLS_RSA_*) have no forward secrecy:
	// who gets the server's key one day can read all that was recorded; and their
	// decryption of RSA PKCS #1 has leaked through time as often as CBC. Name
	// them for a peer that has nothing else, and last.
	CipherSuites []uint16

	// CurvePreferences are the key exchange groups, most preferred first; nil
	// means X25519MLKEM768, X25519, P-256, P-384, P-521, SecP256r1MLKEM768,
	// SecP384r1MLKEM1024. MLKEM1024 is on only if it stands here. A client sends
	// key shares for the first group with ML-KEM and the first other one. With
	// one of the former the ClientHello no longer fits into one datagram, which
	// some old DTLS stacks don't take: leave those groups out for them. A server of
	// 1.3 keeps to an order that is given here, even if the client then has to send
	// another key share; without one it does so for ML-KEM alone.
	CurvePreferences []tls.CurveID

	// EqualCurves are sets of enabled groups that a server prefers alike: among the
	// groups of one set it takes the client's first.
	EqualCurves [][]tls.CurveID

	// KeyShares are those of the groups in CurvePreferences that a client of 1.3
	// sends a key share for, in that order of preference. Nil means the first
	// hybrid and the first other one; an empty list, that the server shall name
	// the group, which costs a round trip.
	KeyShares []tls.CurveID

	// ServerGroupsHint are groups that the server is said to have, in any order:
	// known from DNS, or from a connection before. A client of 1.3 then sends one
	// key share, for the most preferred group of its own that is among them; if
	// none is, KeyShares counts. A wrong hint costs a round trip and no security.
	ServerGroupsHint []tls.CurveID

	// --- What this side authenticates with

	// Credentials are what this side can authenticate with, most preferred first,
	// before any of Certificates: the first that the peer can verify is used, by
	// its signature algorithms and (in 1.2) cipher suites and groups. Names don't
	// matter. A client that has Credentials of which none fits ends the handshake
	// with handshake_failure; one that has none goes on without.
	Credentials []Credential

	// Certificates are credentials, too, in crypto/tls's way: a server prefers
	// those for the name that the client asks for, and a client goes on without if
	// none fits. A server needs one here, or Credentials, or GetCertificate, or
	// GetConfigForClient.
	Certificates []tls.Certificate

	// GetCertificate chooses a server's certificate by ClientHello. It is asked,
	// before Credentials and Certificates, if the client sent a server name or
	// there are none; returning nil, nil falls back to them.
	// The info's SupportedVersions are TLS numbers, for datagrams too, so that
	// its SupportsCertificate works; its Context is nil.
	GetCertificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)

	// GetClientCertificate chooses a client's certificate, instead of Credentials
	// and Certificates, when the server asks for one; a certificate without
	// contents means that there is none to give.
	GetClientCertificate func(*tls.CertificateRequestInfo) (*tls.Certificate, error)

	// GetClientCredential is GetClientCertificate for credentials of any kind, and
	// is asked before it. A credential of no kind means that there is none to give;
	// nil, nil goes on as if it had not been asked.
	GetClientCredential func(*CertificateRequestInfo) (*Credential, error)

	// GetConfigForClient may replace a server's Config after it saw the
	// ClientHello; nil, nil keeps it. Behind a Listener's cookie it can't
	// change the cipher suite's hash or the group any more, which the cookie
	// fixed.
	GetConfigForClient func(*tls.ClientHelloInfo) (*Config, error)

	// LocalCertificateTypes are what this client says that it can show, most
	// preferred first; nil means the types of its Credentials and Certificates, in
	// their order. Where a callback may answer, that is for this field to say.
	// Ignored by servers.
	LocalCertificateTypes []CertificateType

	// GetOCSPStaple supplies a server's OCSP response for the certificate that it
	// chose, instead of tls.Certificate.OCSPStaple, when the client asks for one.
	// Nothing, and no error, means that there is none to give; an error ends the
	// handshake with internal_error, or with the alert of an *alert.Error that it
	// wraps.
	GetOCSPStaple func(*tls.ClientHelloInfo, *tls.Certificate) ([]byte, error)

	// CertificateCompression are the ways to compress Certificate messages of 1.3
	// (RFC 8879), both ours and the peer's, most preferred first. Nil means none.
	CertificateCompression []CertificateCompressor

	// --- Pre-shared keys

	// GetPSK finds a client's external key by its identity (of one that is imported,
	// the external identity), before Credentials. In 1.3 it is asked for what the
	// client offers, which may be tickets of somebody's, up to five times. In 1.2 a
	// client that offers PSK suites gets one, rather than a certificate, and names
	// its key afterwards. When a session is resumed that came from a key, it is asked
	// for that key again.
	//
	// Nil, nil means that there is none. A client of 1.3 may then have another, or
	// take a certificate; one of 1.2 fails as if its key were wrong. An error ends the
	// handshake. The ConnectionState is what is known after the ClientHello.
	GetPSK func(identity []byte, state ConnectionState) (*ExternalPSK, error)

	// GetClientPSK chooses a client's key in 1.2, by the server's hint, which may be
	// empty; nil, nil falls back to the first of Credentials. In 1.3 a client offers
	// all keys of its Credentials.
	GetClientPSK func(hint []byte, state ConnectionState) (*ExternalPSK, error)

	// PSKIdentityHint is what a server of 1.2 tells clients about which key to use.
	// It goes over the wire in the clear.
	PSKIdentityHint []byte

	// PSKOrCertificate lets a client that has external keys take a server without
	// any of them, by its certificate. Otherwise it offers nothing but its keys.
	// Ignored by servers, for which Credentials says it all.
	PSKOrCertificate bool

	// --- How the peer is authenticated

	// Time is the time against which certificates are checked; nil means
	// time.Now. Timers don't use it.
	Time func() time.Time

	// RootCAs are the roots that a client trusts; nil means the system's.
	RootCAs *x509.CertPool

	// ServerName is the name that a client asks for and verifies. Dial takes it
	// from the address if it is empty; with an external key there need be none. An
	// IP address is verified but not sent.
	ServerName string

	// InsecureSkipVerify accepts any server certificate for any name. Without
	// PeerFingerprints, VerifyPeerCertificate or VerifyConnection anybody on the path
	// can be the server.
	InsecureSkipVerify bool

	// PeerFingerprints authenticate the peer by its certificate instead of by roots
	// and names, as in WebRTC (RFC 8122, RFC 8827 6.5): "sha-256 AB:CD:..." of each
	// certificate that it may have, in any of the forms that VerifyFingerprint takes,
	// learned over a channel that nobody else can write to. Who issued it, for whom and
	// until when doesn't matter then, and nothing turns the comparison off. A server
	// takes no client without a certificate, whatever ClientAuth says. RootCAs, or a
	// ClientAuth that verifies, can't stand beside them; external keys and raw public
	// keys can, and go their own ways. Where fingerprints come only while the handshake
	// runs, VerifyConnection can wait for them instead.
	PeerFingerprints []string

	// ClientAuth is a server's policy for client certificates.
	ClientAuth tls.ClientAuthType
	// ClientCAs are the roots for client certificates; nil means the system's.
	ClientCAs *x509.CertPool

	// VerifyPeerCertificate and VerifyConnection run after the ordinary checks
	// (and also where InsecureSkipVerify or ClientAuth turned those off). The
	// former runs for every Certificate, also of a client that has none to show;
	// the latter for every connection, also if no certificate was asked for; and
	// where there is 0-RTT, once more before any is sent or taken. That
	// the peer has its certificate's key is checked after them. An error ends the
	// handshake with bad_certificate, or with the alert of an *alert.Error that it
	// wraps.
	VerifyPeerCertificate func(rawCerts [][]byte, verifiedChains [][]*x509.Certificate) error
	VerifyConnection      func(ConnectionState) error

	// PeerSignatureSchemes are the schemes by which the peer may prove that it has
	// its certificate's key, most preferred first; nil means all that are safe.
	// All are named to the peer, for the signatures on its certificates, but what
	// the version doesn't allow or this library doesn't know is not taken. Naming
	// the code points of RFC 9963 (0x0420, 0x0520, 0x0620) makes a server of 1.3
	// take PKCS #1 from its clients.
	PeerSignatureSchemes []tls.SignatureScheme

	// InsecureAllowSHA1 makes ecdsa_sha1 and rsa_pkcs1_sha1 schemes like any other
	// in 1.2, last in order; a peer that doesn't say what it verifies gets them.
	// Warning: collisions of SHA-1 are affordable, and an attacker who finds one in
	// time can take the peer's place (RFC 9155).
	InsecureAllowSHA1 bool

	// DelegatedCredentialSchemes are the schemes by which a server of 1.3 may sign
	// with a key that its certificate has delegated to (RFC 9345); nil means that
	// delegated credentials are not asked for. Ignored by servers.
	DelegatedCredentialSchemes []tls.SignatureScheme

	// PeerCertificateTypes are what the peer may show its key in, most preferred
	// first; nil means X509 alone. With RawPublicKey among them (RFC 7250)
	// VerifyRawPublicKey must be set. A peer that can show none of them is refused
	// with unsupported_certificate.
	PeerCertificateTypes []CertificateType

	// VerifyRawPublicKey says whether a raw public key, a SubjectPublicKeyInfo in
	// DER, is the peer's: it stands in the place of roots and names, which a raw
	// key has none of, so that nothing turns it off. Compare the key with one that
	// came here in another way. It runs again when a session is resumed; and
	// VerifyConnection runs after it, but VerifyPeerCertificate doesn't. An error
	// ends the handshake as one of those does.
	VerifyRawPublicKey func(info []byte) error

	// RequestOCSPStaple asks the peer for its certificate's revocation status, as
	// its authority's OCSP responder tells it (RFC 6066 8); RequestSCTs for signed
	// certificate timestamps (RFC 6962). A server asks with its request for a
	// certificate, in 1.3. The peer need not have either. What it sends is in
	// ConnectionState, for VerifyConnection to check, which may answer with the
	// alert bad_certificate_status_response.
	RequestOCSPStaple bool
	RequestSCTs       bool

	// CertificateAuthorities are the authorities whose certificates the peer shall
	// show, if it can, each a distinguished name in DER: a client sends them with
	// its ClientHello (servers of 1.3 heed it), a server with its CertificateRequest.
	// Nil means none for a client and the subjects of ClientCAs for a server; empty
	// means none.
	CertificateAuthorities [][]byte

	// MaxCertificateList is the largest Certificate message that is read of the
	// peer, in bytes; zero means 65536.
	MaxCertificateList int

	// --- What else the hellos say

	// NextProtos are the ALPN protocols, most preferred first. If both sides
	// name some and none in common, the server ends the handshake with
	// no_application_protocol. A server that decides by ClientHello does it with
	// GetConfigForClient: a Config with one protocol chooses it, one with none goes
	// on without ALPN, and an error with the alert refuses.
	NextProtos []string

	// AllowUnknownProtocol lets a client take an ALPN protocol that it has not
	// offered. Warning: the server then decides what is spoken; look at
	// ConnectionState.NegotiatedProtocol.
	AllowUnknownProtocol bool

	// IgnoreServerName is for a server that is the same under all names: it
	// chooses its certificate without regard to the client's, and doesn't
	// acknowledge it (RFC 6066 3). ConnectionState has it all the same.
	IgnoreServerName bool

	// SRTPProfiles are the protection profiles of DTLS-SRTP (RFC 5764), most
	// preferred first, on both sides; the server's order counts. What was agreed
	// is in ConnectionState.SRTPProfile, and its keys are ConnectionState.SRTPKeys.
	// Without a profile in common the handshake goes on without one. Ignored by TLS.
	SRTPProfiles []SRTPProfile

	// SRTPMasterKeyIdentifier is the master key identifier (MKI) that a client wants
	// on the SRTP packets of both sides, up to 255 bytes: another one for each
	// association of the same media (RFC 5764 4.1.3). A server uses the one that it has
	// here if the client wants the same; with any other there is none. What was
	// agreed is in ConnectionState. It needs SRTPProfiles. Ignored by TLS.
	SRTPMasterKeyIdentifier []byte

	// InsecureAllowMissingEMS accepts 1.2 peers without extended_master_secret
	// (RFC 7627). Warning: without it a 1.2 session is not bound to its
	// handshake, and the triple handshake attack becomes possible.
	InsecureAllowMissingEMS bool

	// RequireSecureRenegotiation refuses 1.2 peers that don't signal RFC 5746. There
	// is no renegotiation here, but a server that allows it without can be made to
	// take an attacker's words for the beginning of ours.
	RequireSecureRenegotiation bool

	// SendFallbackSCSV tells the server that this client has tried a higher version
	// than MaxVersion before and was cut off (RFC 7507). A server that has it then
	// answers inappropriate_fallback. Only clients that try again by themselves
	// need it.
	SendFallbackSCSV bool

	// GREASE sends values that no peer may understand, and a client's extensions
	// in an order that changes, so that peers which trip over what they don't know
	// are found (RFC 8701).
	GREASE bool

	// RewriteMessage may give what goes in the clear another form, so that a program
	// can't be told from others by it, or to see what a peer makes of it. It gets the
	// body of a ClientHello, a ServerHello or a CertificateRequest of 1.2 that is
	// about to be sent, without its header, and returns the one to send; nil leaves it
	// as it is. Of a ClientHello, suites and extensions may change their order, and be
	// left out, and then can't be agreed on; those that are added must mean nothing to
	// the server, since a choice of theirs ends the handshake. One that follows another
	// has to be changed as that was, and its pre_shared_key not at all. A server goes on
	// as if its messages had been sent as they were, but for the random: what it leaves
	// out there is agreed on for one side only. It is called with locks held. A hello
	// that can't be parsed ends the handshake with internal_error.
	// Warning: random bytes that aren't random anymore are for the application to
	// answer for.
	RewriteMessage func(kind HandshakeType, body []byte) []byte

	// --- Encrypted Client Hello

	// EncryptedClientHelloConfigList lets a client hide its ClientHello, above all
	// the name that it asks for, from everybody but the server (RFC 9849): an
	// ECHConfigList, as the server publishes it. If the server rejects it, the
	// handshake ends with a tls.ECHRejectionError, which may have a list for
	// another try. That a configuration in it can be used is an error to miss;
	// InsecureAllowMissingECH goes on without. Warning: the name is then readable.
	EncryptedClientHelloConfigList []byte
	InsecureAllowMissingECH        bool

	// EncryptedClientHelloRejectionVerify verifies a server that rejects the
	// hidden ClientHello, instead of the ordinary checks with the public name of
	// the ECHConfig; VerifyPeerCertificate and VerifyConnection are not asked then.
	EncryptedClientHelloRejectionVerify func(ConnectionState) error

	// EncryptedClientHelloGREASE lets a client that hides nothing look as if it
	// did, so that those who do are not alone (RFC 9849 6.2).
	EncryptedClientHelloGREASE bool

	// EncryptedClientHelloKeys are what a server decrypts hidden ClientHellos
	// with. Those with SendAsRetry are sent to clients that used another one.
	// Behind a Listener's cookie of 1.3 every one is rejected: the cookie is made
	// without decrypting anything.
	EncryptedClientHelloKeys []tls.EncryptedClientHelloKey

	// --- Sessions

	// SessionTicketsDisabled turns tickets off: a client neither keeps nor offers
	// them, a server neither gives nor takes them. What is left is resumption by
	// session_id in 1.2.
	SessionTicketsDisabled bool

	// ClientSessionCache is where a client keeps sessions to resume, by
	// ServerName or, without one, by the peer's address (of which an Engine knows
	// nothing: all its peers without a name are one); nil means that it resumes
	// none. A session of 1.3 is used once, one of 1.2 until it expires; of the
	// latter only those with an extended master secret are kept. The server's
	// certificates of the first handshake are verified again, as Config says when
	// the session is resumed; VerifyConnection runs too, but VerifyPeerCertificate
	// doesn't, as no certificate is shown: Configs that share a cache check with
	// VerifyConnection.
	ClientSessionCache ClientSessionCache

	// ServerSessionCache is where a server of 1.2 keeps the sessions of clients
	// without tickets, or of all if SessionTicketsDisabled; nil means that it keeps
	// none. NewLRUServerSessionCache makes one in memory.
	ServerSessionCache ServerSessionCache

	// SessionTickets is how many tickets a server of 1.3 gives to each client
	// that can use them; zero means 2, the most is 255. In 1.2 it gives one, in a
	// full handshake.
	SessionTickets int

	// TicketKeys are a server's ticket keys: the first one makes tickets, all of
	// them open. Give several processes the same keys if they share their
	// sessions. Without any, each Config (a copy of it, too) makes its own and
	// rotates them daily. Anybody who gets a key can read the tickets made with
	// it, and be the client that they were given to. Configs that share keys share
	// sessions: what they check beyond ClientAuth and ClientCAs belongs into
	// VerifyConnection.
	TicketKeys [][32]byte

	// WrapSession makes the ticket for a session, instead of TicketKeys: its
	// SessionState.Bytes encrypted, or the name under which they are stored. It
	// runs when the client's Finished is verified. Without one (nil, nil) the client
	// gets none; an error ends the connection.
	//
	// UnwrapSession finds the session again; ParseSessionState reads it. Without
	// one (nil, nil) there is a full handshake; an error ends the handshake. Here
	// the ConnectionState is what is known after the ClientHello.
	WrapSession   func(ConnectionState, *SessionState) ([]byte, error)
	UnwrapSession func(identity []byte, state ConnectionState) (*SessionState, error)

	// SingleUseTickets lets each ticket of a server's resume one connection, in
	// either version: whoever brings it again gets a full handshake, and its 0-RTT
	// is not taken (RFC 9846 8.1). So nobody who watches sees two connections with
	// the same ticket resumed (RFC 9846 C.4). AntiReplay remembers each that was used
	// until it would expire, up to a week; when it is full or fails there are full
	// handshakes only. It doesn't count for sessions of ServerSessionCache.
	SingleUseTickets bool

	// ResumptionAcrossNames promises with a server's tickets of 1.3 that every
	// server of a name in its certificate knows them (RFC 9846 4.7.1,
	// draft-ietf-tls-tlsflags): a client learns it as SessionState.AcrossNames. The
	// clients and servers of this library resume under the same name only.
	ResumptionAcrossNames bool

	// InsecureAllowPSKOnly allows 1.3 with a PSK and no key exchange (psk_ke, RFC
	// 9846 2.2): for external keys, and for sessions too. A client offers it beside
	// the ordinary mode; a server takes it from clients that want no other, or have
	// no group in common with it. Warning: there is no forward secrecy. Whoever gets
	// the key one day, or the key of the tickets, can read all that was recorded.
	InsecureAllowPSKOnly bool

	// --- 0-RTT

	// EarlyData enables 0-RTT in 1.3: a client that resumes a session may send
	// data together with its first message, and a server gives tickets that allow
	// it. Warning: such data is not forward secret, and whoever records it can
	// send it again. A server that waits for the handshake before it reads, as
	// Read does, is safe from replays. ReadEarly doesn't wait: AntiReplay then
	// keeps one server from seeing data twice, but a client that gets no answer
	// may itself send it again over another connection. Only write early what
	// does no harm when it comes twice.
	EarlyData bool

	// MaxEarlyData is how many bytes of 0-RTT data a server takes of each client,
	// and keeps until they are read; zero means 14 KiB, the most is 1 GiB.
	MaxEarlyData int

	// AntiReplay is how a server recognizes a ClientHello with 0-RTT that it has
	// seen before, or with SingleUseTickets a ticket; nil means a NewReplayRegister
	// of its default size. A server whose TicketKeys or UnwrapSession may be
	// another's too, or those of a process before it, needs one that they share, or
	// one that says no to what may have come there (NewReplayRegister's start).
	AntiReplay AntiReplay

	// --- Records and keys

	// DisableKeyUpdate turns the automatic KeyUpdate of 1.3 off, which otherwise
	// comes well before an AEAD's confidentiality limit and, in DTLS, is asked of the
	// peer before its integrity limit (RFC 9147 4.5.3). The limits themselves stay:
	// the connection is closed there.
	DisableKeyUpdate bool

	// CloseAtLimit closes a 1.2 connection, which can't change its keys, when an
	// AEAD's confidentiality limit is reached. Without it the limit is only
	// reported, as ConnectionState.LimitReached; DTLS 1.2 and TLS 1.2 always
	// close before a sequence number would repeat.
	CloseAtLimit bool

	// RecordPadding pads every protected record of 1.3 with zeros, so that its
	// content is a multiple of so many bytes and its length tells less (RFC 9846
	// 5.4): up to 2^14 bytes or MaxSendFragment and, over datagrams, up to the MTU.
	// Zero means no padding. 1.2 has none.
	RecordPadding int

	// RecordSizeLimit is the most plaintext that this side takes in one protected
	// record (RFC 8449), 64 to 16384 bytes; in 1.3 its content type and padding
	// count too, and 16385 are possible. A client says so and learns the server's
	// limit, if that has the extension; zero says nothing. A server tells it to
	// clients that tell theirs, zero being the most that the version has. Each side
	// heeds the other's limit: see ConnectionState.MaxPlaintext.
	RecordSizeLimit int

	// MaxFragmentLength is what a client asks its server to have in no record, in
	// either direction, more plaintext than (RFC 6066 4): 512, 1024, 2048 or 4096
	// bytes; zero asks for nothing. RecordSizeLimit is better: it leaves each
	// direction its own limit, and where the server has it, it alone counts. A
	// session keeps what was agreed. Servers grant it, whatever is here.
	MaxFragmentLength int

	// MaxSendFragment is the most plaintext that goes into one TLS record, 512 to
	// 16384 bytes; zero means 16384. A peer can use a record only when all of it is
	// there: smaller ones come sooner on slow links. Ignored by DTLS.
	MaxSendFragment int

	// --- Datagrams; TLS ignores these

	// MTU is the largest UDP payload to send, in bytes, from 228. Zero means
	// 1200, lowered after repeated timeouts; a value set here is kept exactly, or
	// with MaxMTU until the handshake is complete. Ignored by TLS.
	MTU int

	// MaxMTU lets this side find out how large datagrams to the peer may be: the largest
	// UDP payload to try, from MTU to 65507, as 1472 for Ethernet and IPv4. When the
	// handshake is complete it probes the path with padded records (RFC 8899), from MTU
	// on, and as long as something is written it asks every 30 seconds whether what it
	// found still arrives, and after ten minutes whether more does. PathMTU says what came
	// of it; Write then takes no more than fits into one such datagram, and our datagrams
	// go out with the don't-fragment bit, a Listener's by its own Config. Zero probes
	// nothing.
	//
	// The peer has to answer. If it knows return routability checks (RFC 9853), which
	// this option offers and accepts along with empty connection IDs where ConnectionIDs
	// is nil, it answers one small record; in 1.2 it must have given us a connection ID,
	// too. Every other peer of 1.3 is asked by a KeyUpdate per probe, 15 of them at most
	// before more data is written, unless DisableKeyUpdate or Store is set. Warning: a
	// KeyUpdate that nobody answers ends the association, as every flight does. Peers of 1.2
	// without those checks can't be asked, and nobody through a UDP socket where the system
	// has no such bit for it, as outside of Linux: then PathMTU says MTUUnprobed. That other
	// links fragment nothing is for the application to see to. Ignored by TLS.
	MaxMTU int

	// ShortRecordHeaders writes the records of 1.3 with 8 bits of their number instead
	// of 16, and without a length at the end of a datagram (RFC 9147 4): 3 bytes
	// less for most messages. Whatever is here, every form is read. Warning: the
	// peer takes a number for the one of those 256 that is closest to what it
	// expects, so that it can't read what follows 128 or more records that got lost
	// in a row. Every 64th of ours therefore has 16 bits, and brings it back; what
	// it missed until then is lost, too. Ignored by 1.2 and TLS.
	ShortRecordHeaders bool

	// ConnectionIDs makes what the peer shall put on its records, so that they
	// find this association wherever they come from: after a change of the peer's
	// address, as when it has slept longer than a NAT remembers (RFC 9146, RFC
	// 9147 9). A Listener's own IDs must be such that it can tell their length, and
	// with GetConfigForClient they come from one generator. RandomConnectionIDs(0)
	// puts the peer's on ours and wants none itself. Nil means that none are
	// offered or taken. Warning: whoever watches can link all records with one ID,
	// across addresses too; only 1.3 can change them. Ignored by TLS.
	ConnectionIDs ConnectionIDGenerator

	// PathCheck is how a new address of the peer's is checked before anything is
	// sent there alone (RFC 9853), if the peer knows such checks too; it matters
	// only with ConnectionIDs. The zero value is EnhancedPathCheck. Ignored by TLS.
	PathCheck PathCheck

	// AcceptMove decides about a peer whose records with its connection ID come
	// from another address, and who doesn't know PathCheck: whether what we send
	// goes there from now on. It is asked for the newest record only, behind its
	// authentication, with locks held; nil means no. Warning: nobody has
	// checked that the peer is at that address: somebody may have copied its record
	// and sent it from there first, in order to have the answers go astray or to
	// flood whoever is there. Answer yes only where the answers are small, or after
	// a check of the application's own (RFC 9146 6). Ignored by TLS.
	AcceptMove func(from, to netip.AddrPort) bool

	// InitialTimeout is the first retransmission timeout; it doubles up to 60 s,
	// and the 13th expiry ends the handshake. An ACK of 1.3 that says that more has
	// arrived begins that again. Zero means 400 ms. RFC 9147 5.8.2
	// recommends 1 s without knowledge of the round trip; 400 ms is what the
	// stacks in use do, and costs one repeated flight on slower paths.
	// Ignored by TLS.
	InitialTimeout time.Duration

	// AdaptiveTimeout lets the retransmission timer follow the round trip, which
	// InitialTimeout is then the first guess of: 1.5 times what is measured (RFC 9147
	// 5.8.2), smoothed as in RFC 6298, from 50 ms to 60 s. ACKs are samples, and so are
	// flights that answer one that was sent once. Without it every flight has the
	// schedule of InitialTimeout. Ignored by TLS.
	AdaptiveTimeout bool

	// InsecureDisableCookies lets a Listener keep state for a client whose
	// address it hasn't validated. Warning: spoofed ClientHellos then cost
	// memory and public-key operations, and the server's flight goes to
	// whatever address they name. Client and Server over a given connection
	// never ask for a cookie. Ignored by TLS.
	InsecureDisableCookies bool

	// CookieKeys are a Listener's cookie keys: the first one makes cookies, all
	// of them verify. Give several processes the same keys if they share an
	// address; Listener.SetCookieKeys changes them. Without any, a Listener makes
	// its own and rotates them. Ignored by TLS.
	CookieKeys [][32]byte

	// SplitHellos is how many ClientHellos that come in several datagrams a Listener
	// puts together at once, and MaxSplitHello how many bytes each may have, as well as one
	// that comes in one datagram. Zero means 256 and 4096; at most 65536 of both. A
	// Listener takes the memory for all when it is made, and no more whatever comes:
	// clients beyond them take each other's place, and try again. Ignored by TLS.
	SplitHellos, MaxSplitHello int

	// MaxHandshakes is how many handshakes a Listener has under way at once, with those
	// that wait for Accept: clients whose cookie came back. When there is one more, one
	// that was answered a second ago or longer ends, so that those who never say more keep
	// nobody out; without one the newcomer has to try again. Each may take as much memory
	// as docs/memory.md says. Zero means 8192; the most is 1048576. Ignored by TLS.
	MaxHandshakes int

	// --- Connections that go on in another process; TLS ignores these

	// Store is where connections are kept so that they survive the process: once its
	// handshake is complete, each reserves record numbers there, StoreBlock of them
	// ahead, in both directions, and stores new keys before they are used. After a
	// crash Import goes on with what is stored, and leaves out what was reserved: no
	// number is used twice with one key, what was received is not delivered twice,
	// and up to a block of it may be lost. A Store that doesn't answer makes Write
	// wait, and fail, when the numbers run out. Close deletes what is stored.
	//
	// With ConnectionIDs a Listener goes on with the connections of other processes
	// that had the same Store, StoreKey and Config, when a record comes for one: Accept
	// returns it, and if the other process still lives, its Conn ends with
	// ErrReplayed. A record that nobody has authenticated costs a look-up.
	Store Store

	// StoreKey, 32 bytes, encrypts what is stored. Warning: whoever has it and the
	// Store can be either peer of every connection, and read all that they say.
	StoreKey []byte

	// StoreBlock is how many record numbers are reserved at a time, from 16 to 4096;
	// zero means 1024. With ShortRecordHeaders 64 is the most, and zero means that. More
	// are reserved when half of them are used.
	StoreBlock int

	// InsecureImportWithoutStore lets Import go on with a connection though nobody can
	// tell whether it was imported before. Warning: whoever imports one blob twice,
	// or an old one, uses the same keys with the same record numbers again, and that
	// gives away what was sent, and with most AEADs the means to forge (RFC 5116
	// 5.1.1); what the peer has sent may be delivered twice. The application has to
	// see to it that each blob is imported once.
	InsecureImportWithoutStore bool

	// --- Around the connection

	// HandshakeTimeout ends a handshake that takes longer, and drops an accepted
	// Conn that nobody drives. Zero means 30 s; negative means no limit.
	HandshakeTimeout time.Duration

	// Net is where Dial and Listen open their sockets; nil means the operating
	// system's network.
	Net transport.Net

	// LoggerFactory makes the loggers "dtls" and "tls"; nil means no logging.
	LoggerFactory logging.LoggerFactory

	// KeyLogWriter receives the secrets in NSS key log format, for debugging
	// with tools such as Wireshark. Whoever reads it can read the connection.
	KeyLogWriter io.Writer

	// Trace, if set, is called for everything an Engine sends, receives and
	// drops, in order, with the Engine's lock held: it must return quickly and
	// not call back into the connection.
	Trace func(Event)
}

// The least MTU, and what the zero values of fields mean.
const (
	MinMTU                  = 228
	DefaultMTU              = 1200
	DefaultInitialTimeout   = 400 * time.Millisecond
	DefaultHandshakeTimeout = 30 * time.Second
	DefaultSessionTickets   = 2
	DefaultSplitHellos      = 256
	DefaultMaxSplitHello    = 4096
	DefaultMaxHandshakes    = 8192

	DefaultMaxCertificateList = 1 << 16
)
