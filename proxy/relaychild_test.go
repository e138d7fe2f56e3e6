package proxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/front"
	"github.com/posthouse-mail/posthouse/internal/testcert"
	"github.com/posthouse-mail/posthouse/internal/wire"
)

// relayChild names the variable that turns the test program into a front end
// that is measured from outside; it says how, and where the back end is.
const relayChild = "POSTHOUSE_RELAY_CHILD"

// TestRelayChild is not a test: see relayChild. It serves until its input ends,
// and answers every line with its resident memory in octets.
func TestRelayChild(t *testing.T) {
	how, back, ok := strings.Cut(os.Getenv(relayChild), " ")
	if !ok {
		t.Skip("for measurements only")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var pool front.Pool
	go func() { _ = pool.Serve(context.Background(), l, wire.Timeouts{}, childHandler(how, back)) }()
	fmt.Println("listens", l.Addr())
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		time.Sleep(3 * time.Second) // until what just happened has been forgotten
		for range 4 {               // stacks shrink by half each time
			debug.FreeOSMemory()
		}
		text, err := os.ReadFile("/proc/self/statm")
		require.NoError(t, err)
		pages, err := strconv.Atoi(strings.Fields(string(text))[1])
		require.NoError(t, err)
		fmt.Println("resident", pages*os.Getpagesize())
	}
}

// childHandler connects each client to the back end, in one of some ways.
func childHandler(how, back string) front.Handler {
	return func(ctx context.Context, c *wire.Conn) {
		if strings.HasPrefix(how, "tls") && c.StartTLS(ctx, testcert.Server()) != nil {
			return
		}
		nc, err := net.Dial("tcp", back)
		if err != nil {
			return
		}
		l := linkTo(nc, Backend{})
		switch {
		case strings.HasSuffix(how, "floor"):
			floor(c, nc)
		case strings.HasSuffix(how, "relay"):
			_ = l.Relay(ctx, c)
		default:
			l.HandOver(ctx, c, func(error) {})
		}
	}
}

// floor is the least that Go's own Read allows: two goroutines that wait in it
// with a buffer of a few octets.
func floor(c *wire.Conn, nc net.Conn) {
	move := func(to, from net.Conn) {
		var few [64]byte
		for {
			n, err := from.Read(few[:])
			if err != nil {
				to.Close()
				return
			}
			_, _ = to.Write(few[:n])
		}
	}
	client := c.NetConn()
	c.HandOver(func(end func()) {
		go func() { move(nc, client); end() }()
		go move(client, nc)
	})
}

// child is such a program.
type child struct {
	addr  string
	stdin io.WriteCloser
	out   *bufio.Scanner
	cmd   *exec.Cmd
}

func startChild(t testing.TB, how, back string) *child {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestRelayChild$", "-test.timeout=10m")
	cmd.Env = append(os.Environ(), relayChild+"="+how+" "+back)
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	c := &child{stdin: stdin, out: bufio.NewScanner(stdout), cmd: cmd}
	t.Cleanup(func() { stdin.Close(); _ = cmd.Wait() })
	c.addr = c.answer(t, "listens")
	return c
}

func (c *child) answer(t testing.TB, to string) string {
	t.Helper()
	for c.out.Scan() {
		if word, rest, _ := strings.Cut(c.out.Text(), " "); word == to {
			return rest
		}
	}
	require.Fail(t, "the front end has ended")
	return ""
}

func (c *child) resident(t testing.TB) int {
	t.Helper()
	_, err := io.WriteString(c.stdin, "\n")
	require.NoError(t, err)
	n, err := strconv.Atoi(c.answer(t, "resident"))
	require.NoError(t, err)
	return n
}

// backEnd speaks as much IMAP as nginx needs to log in, and sends n octets
// when asked to "GET n".
func backEnd(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go serveBackEnd(nc)
		}
	}()
	return l.Addr().String()
}

func serveBackEnd(nc net.Conn) {
	defer nc.Close()
	_, _ = io.WriteString(nc, "* OK ready\r\n")
	var text [64]byte
	chunk := []byte(nil)
	for {
		n, err := nc.Read(text[:])
		if err != nil {
			return
		}
		line := strings.TrimSpace(string(text[:n]))
		size, get := strings.CutPrefix(line, "GET ")
		switch {
		case get:
			if chunk == nil {
				chunk = make([]byte, 256<<10)
			}
			left, _ := strconv.Atoi(size)
			for left > 0 && err == nil {
				n, err = nc.Write(chunk[:min(left, len(chunk))])
				left -= n
			}
		case strings.HasSuffix(line, "}"):
			_, _ = io.WriteString(nc, "+ go on\r\n")
		default:
			_, _ = io.WriteString(nc, "a OK done\r\n")
		}
	}
}

// reached connects to a proxy and talks to the back end through it.
func reached(t testing.TB, nc net.Conn) net.Conn {
	t.Helper()
	require.NoError(t, nc.SetDeadline(time.Now().Add(5*time.Minute)))
	t.Cleanup(func() { nc.Close() })
	expect(t, nc, "* OK")
	say(t, nc, "a LOGIN u p\r\n")
	expect(t, nc, "a OK")
	return nc
}

// expect reads a line that begins with a text.
func expect(t testing.TB, nc net.Conn, begin string) {
	t.Helper()
	line := []byte{0}
	for i := 0; line[i] != '\n'; i++ {
		line = append(line, 0)
		_, err := io.ReadFull(nc, line[i+1:])
		require.NoError(t, err)
	}
	require.True(t, strings.HasPrefix(string(line[1:]), begin), "%s", line[1:])
}
