package main

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
	"github.com/godwit-dtls/godwit/e2e/pki"
)

// A pairing is a row of a table: who connects to whom.
type pairing struct {
	client, server string
	from, to       stack
}

func (p pairing) name() string { return p.client + " to " + p.server }

// A table is pairings under faults, so many runs each.
type table struct {
	name     string
	pairings []pairing
	faults   []fault
	runs     int
	goals    []goal
}

// A goal is what a cell has to be; zero: anything.
type goal struct {
	pairing, fault string
	done           int // of a hundred
	median, ninety time.Duration
	rival          string // pairing that has to be surpassed
}

// losses are each way.
var losses = []fault{
	{name: "10 % lost", loss: 0.1},
	{name: "30 % lost", loss: 0.3},
	{name: "50 % lost", loss: 0.5},
}

var others = []fault{
	{name: "100 to 150 ms late", delay: 100 * time.Millisecond, jitter: 50 * time.Millisecond},
	{name: "10 % overtaken", reordering: 0.1},
	{name: "30 % overtaken", reordering: 0.3},
	{name: "30 % twice", duplication: 0.3},
	{name: "10 % with a wrong bit", corruption: 0.1},
	{name: "MTU 1280", mtu: 1280},
	{name: "MTU 1200", mtu: 1200},
	{name: "MTU 576", mtu: 576},
	{name: "MTU 296", mtu: 296},
}

// What godwit's rows are called.
const (
	likeBrowsers13 = "godwit 1.3, 50 ms"
	likeBrowsers12 = "godwit 1.2, 50 ms"
	default13      = "godwit 1.3"
	default12      = "godwit 1.2"
	openSSLName    = "OpenSSL"
	gnuTLSName     = "GnuTLS"
)

// goals are those of godwit with itself, and with OpenSSL in both roles: that must go
// better than OpenSSL with itself.
func goals() []goal {
	all := slices.Clone(alone)
	for _, our := range []string{likeBrowsers12, default12} {
		for _, f := range losses {
			for _, p := range []string{our + " to " + openSSLName, openSSLName + " to " + our} {
				all = append(all, goal{pairing: p, fault: f.name, rival: openSSLName + " to itself"})
			}
		}
	}
	return all
}

var alone = []goal{
	{pairing: likeBrowsers13 + " to itself", fault: "10 % lost", done: 100, median: 20 * time.Millisecond},
	{pairing: likeBrowsers13 + " to itself", fault: "30 % lost", done: 100, median: 300 * time.Millisecond},
	{pairing: likeBrowsers13 + " to itself", fault: "50 % lost", done: 98, median: time.Second, ninety: 10 * time.Second},
	{pairing: likeBrowsers12 + " to itself", fault: "10 % lost", done: 100},
	{pairing: likeBrowsers12 + " to itself", fault: "30 % lost", done: 98},
}

// sameMTU is the size of datagrams that godwit and GnuTLS begin with.
const sameMTU = 1200

// plan has both tables. The chain of the servers has two certificates. Where datagrams are
// lost they are of ECDSA, and all stacks send datagrams of the same size. Where other
// things befall them the first is of RSA, so that flights are longer, and each stack goes
// by its own defaults.
func plan(directory string) ([]table, error) {
	authority, err := pki.NewAuthority(directory)
	if err != nil {
		return nil, err
	}
	short, err := stacks(authority, pki.ECDSA, "-mtu", strconv.Itoa(sameMTU+headerBytes))
	if err != nil {
		return nil, err
	}
	long, err := stacks(authority, pki.RSA)
	if err != nil {
		return nil, err
	}
	return []table{
		{
			name:     "loss",
			pairings: append(withThemselves(short, likeBrowsers13, likeBrowsers12, default13, default12), withOthers(short, likeBrowsers12, default12)...),
			faults:   losses,
			runs:     100,
			goals:    goals(),
		},
		{
			name:     "others",
			pairings: append(withThemselves(long, default13, default12), withOthers(long, default12)...),
			faults:   others,
			runs:     50,
		},
	}, nil
}

// stacks are all of them, by name, with a certificate of one kind. OpenSSL has arguments
// of its own.
func stacks(authority *pki.Authority, kind pki.Kind, ofOpenSSL ...string) (map[string]stack, error) {
	leaf, err := authority.Leaf(pki.Request{Kind: kind})
	if err != nil {
		return nil, err
	}
	certificate, err := tls.LoadX509KeyPair(leaf.Chain, leaf.Key)
	if err != nil {
		return nil, err
	}
	of := func(changes ...func(*dtls.Config)) stack { return godwit{certificate, changes} }
	return map[string]stack{
		likeBrowsers13: of(asBrowsers, x25519),
		likeBrowsers12: of(asBrowsers, x25519, only12),
		default13:      of(),
		default12:      of(only12),
		openSSLName:    openSSL(leaf, ofOpenSSL...),
		gnuTLSName:     gnuTLS(leaf),
	}, nil
}

func withThemselves(stacks map[string]stack, names ...string) (all []pairing) {
	for _, name := range names {
		all = append(all, pairing{name, "itself", stacks[name], stacks[name]})
	}
	return all
}

// withOthers are the other stacks with themselves, and with godwit in both roles.
func withOthers(stacks map[string]stack, ours ...string) (all []pairing) {
	for _, other := range []string{openSSLName, gnuTLSName} {
		all = append(all, withThemselves(stacks, other)...)
		for _, our := range ours {
			all = append(all, pairing{our, other, stacks[our], stacks[other]}, pairing{other, our, stacks[other], stacks[our]})
		}
	}
	return all
}

// check says in what a cell falls short, beside the cell of the rival if there is one.
func (g goal) check(c, rival cell) error {
	switch {
	case c.done()*100 < g.done*c.runs():
	case g.median > 0 && c.quantile(50) > g.median:
	case g.ninety > 0 && c.quantile(90) > g.ninety:
	case len(rival) > 0 && !c.surpasses(rival):
		return fmt.Errorf("%s, %s: %v; %s: %v", g.pairing, g.fault, c, g.rival, rival)
	default:
		return nil
	}
	return fmt.Errorf("%s, %s: %v; the goal is %d %%, median %v, 90 %% %v", g.pairing, g.fault, c, g.done, g.median, g.ninety)
}
