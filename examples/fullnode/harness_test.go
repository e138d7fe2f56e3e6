package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/realtest/clients"
)

// binary is the built program, made once for all tests.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "fullnode")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "fullnode")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// testNode is a running node on free ports.
type testNode struct {
	t        testing.TB
	dir      string            // holds config.toml and data
	address  map[string]string // by the first column of the table
	user     string
	password string // as printed on the first start
	printed  string // all of standard output up to "ready"
	cmd      *exec.Cmd
	log      *syncBuffer
	waited   sync.Once
	waitErr  error
}

// freePorts is a configuration that takes any port.
const freePorts = freePortsTop + freePortsTables

const freePortsTop = `
hostname = "mail.example.test"
drain = "2s"
`

const freePortsTables = `
[smtp]
listen = ["127.0.0.1:0"]
[submission]
listen = ["127.0.0.1:0"]
listen_tls = ["127.0.0.1:0"]
[lmtp]
listen = ["127.0.0.1:0"]
[imap]
listen = ["127.0.0.1:0"]
listen_tls = ["127.0.0.1:0"]
[pop3]
listen = ["127.0.0.1:0"]
listen_tls = ["127.0.0.1:0"]
[http]
listen = ["127.0.0.1:0"]
`

// startNode starts a node with a fresh data directory. more is added to the
// configuration: first keys, then tables.
func startNode(t testing.TB, more string) *testNode {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "config.toml"), []byte(freePortsTop+more+freePortsTables), 0o600))
	return startIn(t, dir)
}

// startIn starts a node in a directory that holds a config.toml.
func startIn(t testing.TB, dir string) *testNode {
	t.Helper()
	n := &testNode{t: t, dir: dir, address: map[string]string{}, log: &syncBuffer{}}
	n.cmd = exec.Command(binary, n.args()...)
	n.cmd.Stderr = n.log
	out, err := n.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, n.cmd.Start())
	t.Cleanup(n.kill)
	n.readTable(out)
	return n
}

func (n *testNode) args(more ...string) []string {
	return append([]string{"-config", filepath.Join(n.dir, "config.toml"), "-data", filepath.Join(n.dir, "data")}, more...)
}

var (
	accountLine = regexp.MustCompile(`^account (\S+) password (\S+)$`)
	tableLine   = regexp.MustCompile(`^(.+?)  +(127\.0\.0\.1:\d+)$`)
)

func (n *testNode) readTable(out io.Reader) {
	n.t.Helper()
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		line := lines.Text()
		n.printed += line + "\n"
		if m := accountLine.FindStringSubmatch(line); m != nil {
			n.user, n.password = m[1], m[2]
		}
		if m := tableLine.FindStringSubmatch(line); m != nil {
			n.address[m[1]] = m[2]
		}
		if line == "ready" {
			return
		}
	}
	_ = n.wait()
	n.t.Fatalf("the node ended before it was ready:\n%s%s", n.printed, n.log)
}

func (n *testNode) wait() error {
	n.waited.Do(func() { n.waitErr = n.cmd.Wait() })
	return n.waitErr
}

// kill ends the node without a chance to clean up.
func (n *testNode) kill() {
	_ = n.cmd.Process.Kill()
	_ = n.wait()
}

// stop ends the node gracefully.
func (n *testNode) stop() {
	n.t.Helper()
	require.NoError(n.t, n.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(n.t, n.wait(), n.log)
}

// run runs a sub-command with the node's configuration and data.
func (n *testNode) run(stdin string, args ...string) (string, error) {
	return runBinary(n.t, stdin, n.args(args...)...)
}

// runBinary runs the program with exactly these arguments.
func runBinary(t testing.TB, stdin string, args ...string) (string, error) {
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (n *testNode) mustRun(stdin string, args ...string) string {
	n.t.Helper()
	out, err := n.run(stdin, args...)
	require.NoError(n.t, err, out)
	return out
}

// lineConn speaks a line protocol byte by byte, as no well-behaved client would.
type lineConn struct {
	t testing.TB
	net.Conn
	r *bufio.Reader
}

func (n *testNode) dial(service string) *lineConn {
	n.t.Helper()
	return dialLine(n.t, n.address[service])
}

func dialLine(t testing.TB, address string) *lineConn {
	t.Helper()
	nc, err := net.Dial("tcp", address)
	require.NoError(t, err)
	require.NoError(t, nc.SetDeadline(time.Now().Add(time.Minute)))
	t.Cleanup(func() { nc.Close() })
	return &lineConn{t, nc, bufio.NewReader(nc)}
}

func (c *lineConn) send(s string) {
	c.t.Helper()
	_, err := io.WriteString(c, s)
	require.NoError(c.t, err)
}

func (c *lineConn) line() string {
	c.t.Helper()
	line, err := c.r.ReadString('\n')
	require.NoError(c.t, err)
	return strings.TrimRight(line, "\r\n")
}

// reply reads an SMTP reply and returns its last line.
func (c *lineConn) reply() string {
	c.t.Helper()
	for {
		if line := c.line(); len(line) < 4 || line[3] != '-' {
			return line
		}
	}
}

func (c *lineConn) command(s string) string {
	c.t.Helper()
	c.send(s + "\r\n")
	return c.reply()
}

// mailFrom opens a transaction for one recipient.
func (c *lineConn) mailFrom(hello, from, to string) {
	c.t.Helper()
	require.Regexp(c.t, "^220 ", c.reply())
	require.Regexp(c.t, "^250 ", c.command(hello+" client.example.org"))
	require.Regexp(c.t, "^250 ", c.command("MAIL FROM:<"+from+">"))
	require.Regexp(c.t, "^250 ", c.command("RCPT TO:<"+to+">"))
}

// data sends content as DATA, dot-stuffed and otherwise untouched.
func (c *lineConn) data(content []byte) string {
	c.t.Helper()
	require.Regexp(c.t, "^354 ", c.command("DATA"))
	stuffed := bytes.ReplaceAll(content, []byte("\r\n."), []byte("\r\n.."))
	if bytes.HasPrefix(content, []byte(".")) {
		stuffed = append([]byte("."), stuffed...)
	}
	c.send(string(stuffed) + ".\r\n")
	return c.reply()
}

// imapClient logs in to the node's IMAP.
func (n *testNode) imapClient() *imapclient.Client {
	n.t.Helper()
	return n.imapAs(n.user, n.password)
}

func (n *testNode) imapAs(user, password string) *imapclient.Client {
	n.t.Helper()
	nc, err := net.Dial("tcp", n.address["IMAP"])
	require.NoError(n.t, err)
	require.NoError(n.t, nc.SetDeadline(time.Now().Add(time.Minute)))
	c := imapclient.New(nc, nil)
	n.t.Cleanup(func() { c.Close() })
	require.NoError(n.t, c.Login(user, password).Wait())
	return c
}

// bodies returns the content of every message of a mailbox, by UID.
func bodies(t testing.TB, c *imapclient.Client, mailbox string) [][]byte {
	t.Helper()
	return clients.Bodies(t, c, mailbox)
}

// pop3All returns what RETR gives for every message.
func (n *testNode) pop3All() [][]byte {
	n.t.Helper()
	c := n.dial("POP3")
	ok := func(command string) string {
		n.t.Helper()
		if command != "" {
			c.send(command + "\r\n")
		}
		line := c.line()
		require.Regexp(n.t, `^\+OK`, line, command)
		return line
	}
	ok("")
	ok("USER " + n.user)
	ok("PASS " + n.password)
	var count, size int
	_, err := fmt.Sscanf(ok("STAT"), "+OK %d %d", &count, &size)
	require.NoError(n.t, err)
	var all [][]byte
	for i := 1; i <= count; i++ {
		ok(fmt.Sprintf("RETR %d", i))
		all = append(all, c.multiline())
	}
	ok("QUIT")
	return all
}

// multiline reads a POP3 multi-line response and undoes its dot-stuffing.
func (c *lineConn) multiline() []byte {
	c.t.Helper()
	var content []byte
	for {
		line, err := c.r.ReadBytes('\n')
		require.NoError(c.t, err)
		if string(line) == ".\r\n" {
			return content
		}
		content = append(content, bytes.TrimPrefix(line, []byte("."))...)
	}
}

// syncBuffer collects a process's output from another goroutine.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

const (
	waitLong = 20 * time.Second
	waitTick = 20 * time.Millisecond
)

// plainResponse is the initial response of AUTH PLAIN (RFC 4616).
func plainResponse(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + password))
}
