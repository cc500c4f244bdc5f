package main

import (
	"crypto/tls"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
)

// settings are what the flags say about one connection.
type settings struct {
	askedForHandshaker bool

	port   int
	ipv6   bool
	shimID uint64

	dtls   bool
	server bool

	// Credentials.
	credentials        []*credential // those of the flags -new-...-credential
	fallbackCredential credential    // the one that belongs to no such flag
	psk12              dtls.ExternalPSK
	failCertificate    bool
	privateKeyDelay    time.Duration
	certificateTypes   []dtls.CertificateType

	// The peer's certificate.
	peerSchemes        []tls.SignatureScheme // by which it may sign
	authorities        [][]byte              // that it shall be of
	verifyPeer         bool
	verifyCustom       bool
	verifyFails        bool
	requireCertificate bool
	peerTypes          []dtls.CertificateType
	maxCertificateList int
	compressors        []dtls.CertificateCompressor

	// What comes with a certificate.
	requestStaple     bool
	requestTimestamps bool
	useStapleCallback bool
	failStaple        bool
	declineStaple     bool
	stapleInCallback  bool

	// Negotiation.
	noTLS13, noTLS12       bool
	minVersion, maxVersion uint16
	suites                 []uint16
	groups                 []tls.CurveID
	groupFlags             []int // what of each
	keyShares              []tls.CurveID
	serverGroups           []tls.CurveID
	hostName               string
	ignoreName             bool
	secureRenegotiation    bool
	fallsBack              bool
	protocols              []string // ALPN
	allowUnknownProtocol   bool
	rejectProtocols        bool
	selectEmptyProtocol    bool
	srtpProfiles           []dtls.SRTPProfile
	failHello              bool
	failLateHello          bool

	// Encrypted Client Hello.
	echConfigs      []byte // a client's list
	echMustBeUsable bool
	echGrease       bool
	grease          bool
	echKeys         []tls.EncryptedClientHelloKey

	// Sessions.
	resumptions     int // connections after the first
	resumptionDelay time.Duration
	noTickets       bool
	acrossNames     bool // the server's tickets say so
	tickets         ticketFormat
	earlyData       bool
	earlyWriteAfter int // this type of message has come
	reverifies      bool

	// Datagrams.
	mtu            int
	initialTimeout time.Duration

	// The conversation.
	implicitHandshake   bool
	handshakeTwice      bool
	writesFirst         bool
	firstWrite          string
	firstWrites         int
	shutsDown           bool
	checkCloseNotify    bool
	readSize            int
	maxFragment         int
	keyUpdate           bool
	keyUpdateBeforeRead bool
	unfinishedWrite     bool
	exportLength        int
	exportLabel         string
	exportContext       string
	exportsContext      bool // there is one, if only an empty one
	exportSecrets       bool
	exportUnique        bool
	peeks               bool
	aborts              bool

	expect expectations
}
