package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
)

const (
	nodes     = 3
	readEvery = 100 * time.Millisecond
	killEvery = 1500 * time.Millisecond
)

// A demonstration is the cluster and the device of the demo.
type demonstration struct {
	out     io.Writer
	began   time.Time
	secret  secrets
	redis   string
	balance *balancer
	nodes   [nodes + 1]*exec.Cmd // by number, from 1
	answers map[string]int       // by node
	lost    int                  // readings that had to be sent again
	longest time.Duration        // until an answer
	last    string               // node that answered
}

// demo lets a device talk while the server that answers it is killed, again and
// again.
func demo(ctx context.Context, redisAddress string, length time.Duration, out io.Writer) error {
	ctx, stop := context.WithTimeout(ctx, length)
	defer stop()
	if redisAddress == "" {
		address, end, err := startRedis(ctx)
		if err != nil {
			return err
		}
		defer end()
		redisAddress = address
	}
	d := &demonstration{out: out, began: time.Now(), redis: redisAddress, answers: map[string]int{}}
	rand.Read(d.secret[:])
	defer d.end()
	if err := d.start(ctx); err != nil {
		return err
	}
	c, err := d.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	return d.run(ctx, c)
}

// startRedis starts a redis-server that keeps nothing on disk.
func startRedis(ctx context.Context) (address string, end func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	address = l.Addr().String()
	l.Close()
	_, port, _ := net.SplitHostPort(address)
	server := exec.Command("redis-server", "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no")
	output, err := server.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := server.Start(); err != nil {
		return "", nil, fmt.Errorf("%w (install redis-server, or name one with -redis)", err)
	}
	end = func() {
		server.Process.Kill()
		server.Wait()
	}
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		if strings.Contains(strings.ToLower(lines.Text()), "ready to accept connections") {
			go io.Copy(io.Discard, output) // until it ends
			return address, end, nil
		}
	}
	end()
	return "", nil, errors.New("redis-server ended before it was ready")
}

// start starts the balancer and all nodes, and waits until they live.
func (d *demonstration) start(ctx context.Context) error {
	router, err := d.secret.router()
	if err != nil {
		return err
	}
	local := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}
	front, err := net.ListenUDP("udp", local)
	if err != nil {
		return err
	}
	back, err := net.ListenUDP("udp", local)
	if err != nil {
		return err
	}
	d.balance = newBalancer(router, front, back)
	for n := 1; n <= nodes; n++ {
		if err := d.startNode(n); err != nil {
			return err
		}
	}
	for d.balance.living() < nodes {
		select {
		case <-ctx.Done():
			return errors.New("the nodes don't come up")
		case <-time.After(heartbeatInterval):
		}
	}
	d.sayf("a balancer at %v, %d nodes, Redis at %s", front.LocalAddr(), nodes, d.redis)
	return nil
}

// startNode starts a node in a process of its own: this program again.
func (d *demonstration) startNode(n int) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	node := exec.Command(self, "node", strconv.Itoa(n), d.balance.back.LocalAddr().String(), d.redis)
	node.Env = append(os.Environ(), secretVariable+"="+hex.EncodeToString(d.secret[:]))
	node.Stderr = os.Stderr
	d.nodes[n] = node
	return node.Start()
}

func (d *demonstration) dial() (*dtls.Conn, error) {
	link, err := net.Dial("udp", d.balance.front.LocalAddr().String())
	if err != nil {
		return nil, err
	}
	c, err := dtls.Client(link, d.secret.deviceConfig("sensor 1"))
	if err != nil {
		return nil, err
	}
	return c, c.Handshake()
}

// run lets the device talk and the nodes die: whoever answers is killed, and starts
// again when another one has taken over.
func (d *demonstration) run(ctx context.Context, c *dtls.Conn) error {
	death, victim := time.Now().Add(killEvery), 0
	err := talk(ctx, c, readEvery, func(x exchange) {
		d.note(x)
		switch {
		case victim > 0:
			d.sayf("node %d starts again", victim)
			d.startNode(victim)
			death, victim = time.Now().Add(killEvery), 0
		case time.Now().After(death):
			victim, _ = strconv.Atoi(strings.TrimPrefix(x.node, "node "))
			d.kill(victim)
		}
	})
	total := 0
	for _, n := range d.answers {
		total += n
	}
	d.sayf("%d readings, all answered: %v; %d had to be sent again, the longest took %v", total, d.answers, d.lost, d.longest.Round(time.Millisecond))
	return err
}

// note notes an answer, and says if it comes from another node than the last.
func (d *demonstration) note(x exchange) {
	if x.node != d.last {
		d.sayf("reading %d is answered by %s, at try %d", x.reading, x.node, x.tries)
		d.last = x.node
	}
	d.answers[x.node]++
	if x.tries > 1 {
		d.lost++
	}
	d.longest = max(d.longest, x.took)
}

// kill kills a node as a power failure would.
func (d *demonstration) kill(n int) {
	d.sayf("node %d is killed", n)
	d.nodes[n].Process.Kill()
	d.nodes[n].Wait()
}

func (d *demonstration) sayf(format string, args ...any) {
	fmt.Fprintf(d.out, "%5.2f s  %s\n", time.Since(d.began).Seconds(), fmt.Sprintf(format, args...))
}

// end ends what is left.
func (d *demonstration) end() {
	for _, node := range d.nodes {
		if node != nil && node.Process != nil {
			node.Process.Kill()
			node.Wait()
		}
	}
	if d.balance != nil {
		d.balance.Close()
	}
}
