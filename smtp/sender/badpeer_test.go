package sender_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	smtp "github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/resolver"
	"github.com/posthouse-mail/posthouse/resolver/resolvertest"
	"github.com/posthouse-mail/posthouse/smtp/sender"
)

type bufioReader = bufio.Reader

func answer(c net.Conn, line string) { _, _ = io.WriteString(c, line+"\r\n") }

func port(p *peer) string { return strconv.Itoa(p.port) }

func flood(c net.Conn, piece string) {
	block := []byte(strings.Repeat(piece, 1+(64<<10)/len(piece)))
	for {
		if _, err := c.Write(block); err != nil {
			return
		}
	}
}

// drip sends piece for ever, slowly enough to keep every read alive.
func drip(c net.Conn, piece string) {
	for {
		if _, err := io.WriteString(c, piece); err != nil {
			return
		}
		time.Sleep(20 * time.Millisecond) // the slow peer itself
	}
}

// injectBehindSTARTTLS passes a connection through to p and adds clear text
// behind the answer to STARTTLS.
func injectBehindSTARTTLS(c net.Conn, r *bufio.Reader, p *peer) {
	up, err := net.Dial("tcp", net.JoinHostPort(p.host, port(p)))
	if err != nil {
		return
	}
	defer up.Close()
	replies := bufio.NewReader(up)
	line, _ := replies.ReadString('\n')
	_, _ = io.WriteString(c, line)
	for {
		command, err := r.ReadString('\n')
		if err != nil {
			return
		}
		_, _ = io.WriteString(up, command)
		var all strings.Builder
		for {
			line, err := replies.ReadString('\n')
			if err != nil {
				return
			}
			all.WriteString(line)
			if len(line) > 3 && line[3] == ' ' {
				break
			}
		}
		if strings.HasPrefix(command, "STARTTLS") {
			all.WriteString("550 injected\r\n")
		}
		_, _ = io.WriteString(c, all.String())
		if strings.HasPrefix(command, "STARTTLS") {
			break
		}
	}
	done := make(chan struct{})
	go func() { defer close(done); _, _ = io.Copy(c, up); c.Close() }()
	_, _ = io.Copy(up, r)
	up.Close()
	<-done
}

func TestS33HostilePeersGetTheNextHostInBoundedTimeAndMemory(t *testing.T) {
	good := newPeer(t, nil)
	for name, act := range map[string]func(net.Conn, *bufio.Reader){
		"endless banner":           func(c net.Conn, _ *bufio.Reader) { flood(c, "220-hello\r\n") },
		"reply line of a gigabyte": func(c net.Conn, _ *bufio.Reader) { flood(c, "x") },
		"220 for ever, slowly":     func(c net.Conn, _ *bufio.Reader) { drip(c, "220-hello\r\n") },
		"one octet at a time":      func(c net.Conn, _ *bufio.Reader) { drip(c, "2") },
		"silence":                  func(_ net.Conn, r *bufio.Reader) { _, _ = r.ReadByte() },
		"closes at once":           func(net.Conn, *bufio.Reader) {},
		"differing codes":          func(c net.Conn, r *bufio.Reader) { answer(c, "220-a\r\n550-b\r\n421 c"); _, _ = r.ReadByte() },
		"not SMTP":                 func(c net.Conn, r *bufio.Reader) { answer(c, "HTTP/1.1 400 Bad Request"); _, _ = r.ReadByte() },
		"greets with 4xx":          dialogue(map[string]string{"": "450 busy"}),
		"greets with 421":          dialogue(map[string]string{"": "421 busy"}),
		"greets with 554":          dialogue(map[string]string{"": "554 go away"}),
		"greets with 250":          dialogue(map[string]string{"": "250 hm"}),
		"EHLO flood": func(c net.Conn, r *bufio.Reader) {
			answer(c, "220 hi")
			_, _ = r.ReadString('\n')
			flood(c, "250-X\r\n")
		},
		"EHLO and HELO refused":     dialogue(map[string]string{"EHLO": "502 what", "HELO": "502 what"}),
		"421 after MAIL":            dialogue(map[string]string{"MAIL": "421 bye"}),
		"closes after MAIL":         dialogue(map[string]string{"MAIL": "close"}),
		"closes after RCPT":         dialogue(map[string]string{"RCPT": "close"}),
		"closes after DATA":         dialogue(map[string]string{"DATA": "close"}),
		"answers DATA with 250":     dialogue(map[string]string{"DATA": "250 ok"}),
		"answers RCPT with garbage": dialogue(map[string]string{"RCPT": "\x00\xff\xfe"}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			host, port := hostile(t, act)
			o := options()
			o.Timeouts.Command = 300 * time.Millisecond
			j := job(text, "a@us.test", "b@d.test")
			j.Route = to(sender.Host{Name: host, Port: port}, good.at())
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			results := send(t, o, j)
			runtime.ReadMemStats(&after)
			require.Equal(t, []int{250}, codes(results), results[0].Reply)
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(64<<20))

			j.Route = to(sender.Host{Name: host, Port: port})
			r := send(t, o, j)[0].Reply
			if strings.Contains(name, "554") || strings.Contains(name, "refused") {
				require.Equal(t, 5, r.Code/100, "no host was better: the refusal stands")
				return
			}
			require.True(t, r.Temporary(), r)
		})
	}
}

func TestEightBitBannerIsNoProblem(t *testing.T) {
	host, port := hostile(t, dialogue(map[string]string{"": "220-\xff\xfe\r\n220 \x80"}))
	j := job(text, "a@us.test", "b@d.test")
	j.Route = to(sender.Host{Name: host, Port: port})
	require.Equal(t, []int{250}, codes(send(t, options(), j)))
}

func TestLostAfterTheEndOfDataIsTemporaryAndNotTriedElsewhere(t *testing.T) {
	good := newPeer(t, nil)
	host, port := hostile(t, dialogue(map[string]string{".": "close"}))
	j := job(text, "a@us.test", "b@d.test")
	j.Route = to(sender.Host{Name: host, Port: port}, good.at())
	r := send(t, options(), j)[0].Reply
	require.Equal(t, smtp.EnhancedCode{4, 4, 2}, r.EnhancedCode())
	require.Empty(t, good.messages(), "the first host may have taken it")
}

// TestP37AReplyWithoutItsEndIsNone is cut after a code, which by itself says
// nothing: 250 could have become 250-, and then anything.
func TestP37AReplyWithoutItsEndIsNone(t *testing.T) {
	for _, cut := range []string{"250", "250 2.0.0 ta", "250-2.0.0 taken\r\n250 in two lines"} {
		host, port := hostile(t, func(c net.Conn, r *bufio.Reader) {
			answer(c, "220 hi")
			for _, reply := range []string{"250 hi", "250 ok", "250 ok", "354 go"} {
				if _, err := r.ReadString('\n'); err != nil {
					return
				}
				for _, piece := range []string{reply[:2], reply[2:], "\r", "\n"} { // pieces are put together
					_, _ = io.WriteString(c, piece)
				}
			}
			for line := ""; line != ".\r\n"; {
				var err error
				if line, err = r.ReadString('\n'); err != nil {
					return
				}
			}
			_, _ = io.WriteString(c, cut)
		})
		j := job(text, "a@us.test", "b@d.test")
		j.Route = to(sender.Host{Name: host, Port: port})
		require.Equal(t, smtp.EnhancedCode{4, 4, 2}, send(t, options(), j)[0].Reply.EnhancedCode(), "%q", cut)
	}
}

func TestRefusalAmidTheContentIsHeard(t *testing.T) {
	host, port := hostile(t, func(c net.Conn, r *bufio.Reader) {
		for _, reply := range []string{"220 hi", "250 hi", "250 ok", "250 ok", "354 go"} {
			answer(c, reply)
			if _, err := r.ReadString('\n'); err != nil {
				return
			}
		}
		answer(c, "552 5.3.4 too much")
		_ = c.(*net.TCPConn).CloseWrite()
		_, _ = io.CopyN(io.Discard, r, 1<<20)
	})
	j := job("a: b\r\n\r\n"+strings.Repeat(strings.Repeat("x", 70)+"\r\n", 300_000), "a@us.test", "b@d.test")
	j.Route = to(sender.Host{Name: host, Port: port})
	r := send(t, options(), j)[0].Reply
	require.Contains(t, []int{552, 451}, r.Code, "a reset may have thrown the answer away")
}

func TestReaderThatStallsIsGivenUp(t *testing.T) {
	stop := make(chan struct{})
	host, port := hostile(t, func(c net.Conn, r *bufio.Reader) {
		for _, reply := range []string{"220 hi", "250 hi", "250 ok", "250 ok"} {
			answer(c, reply)
			if _, err := r.ReadString('\n'); err != nil {
				return
			}
		}
		answer(c, "354 go")
		<-stop
	})
	defer close(stop)
	o := options()
	o.Timeouts.DataBlock = 200 * time.Millisecond
	j := job("a: b\r\n\r\n"+strings.Repeat(strings.Repeat("x", 70)+"\r\n", 300_000), "a@us.test", "b@d.test")
	j.Route = to(sender.Host{Name: host, Port: port})
	require.Equal(t, []int{451}, codes(send(t, o, j)))
}

func TestTotalTimeBindsAll(t *testing.T) {
	host, port := hostile(t, func(_ net.Conn, r *bufio.Reader) { _, _ = r.ReadByte() })
	o := options()
	o.Timeouts.Total = 200 * time.Millisecond
	j := job(text, "a@us.test", "b@d.test")
	j.Route = to(sender.Host{Name: host, Port: port}, sender.Host{Name: host, Port: port})
	start := time.Now()
	require.Equal(t, []int{451}, codes(send(t, o, j)))
	require.Less(t, time.Since(start), 1500*time.Millisecond)
}

// broken is a body whose octets can't be read to the end.
type broken struct{ message.Body }

func (broken) Size() int64 { return 1 << 20 }

func (b broken) ReadAt(p []byte, off int64) (int, error) {
	if off > 4<<10 {
		return 0, errors.New("damaged")
	}
	return copy(p, bytes.Repeat([]byte("x\r\n"), len(p)/3)), nil
}

func TestUnreadableContentIsNeverSentInPart(t *testing.T) {
	p := newPeer(t, nil)
	j := job(text, "a@us.test", "b@d.test")
	j.Body = broken{}
	j.Route = to(p.at())
	require.Equal(t, []int{451}, codes(send(t, options(), j)))
	require.Empty(t, p.messages())
}

func TestLineEndsAreMadeSafe(t *testing.T) {
	p := newPeer(t, nil)
	for body, want := range map[string]string{
		"a: b\n\nc\n":                     "a: b\r\n\r\nc\r\n",
		"a: b\r\n\r\nx\n.\nMAIL\r\n":      "a: b\r\n\r\nx\r\n.\r\nMAIL\r\n",
		"a: b\r\n\r\nx\r.\rMAIL\r\n":      "a: b\r\n\r\nx . MAIL\r\n",
		"a: b\r\n\r\nx\r\r\n.\r\r\ny\r\n": "a: b\r\n\r\nx \r\n. \r\ny\r\n",
		"a: b\r\n\r\nno end":              "a: b\r\n\r\nno end\r\n",
		"a: b\r\n\r\nno end\r":            "a: b\r\n\r\nno end\r\n",
		"a: b\r\n\r\nhällo\r\n":           "a: b\r\n\r\nhällo\r\n",
	} {
		before := len(p.messages())
		j := job(body, "a@us.test", "b@d.test")
		j.Route = to(p.at())
		require.Equal(t, []int{250}, codes(send(t, options(), j)))
		require.Len(t, p.messages(), before+1, "exactly one message")
		require.Equal(t, want, p.messages()[before].data)
	}
}

func TestS35MXThatMustNotBeDialled(t *testing.T) {
	var dialled int
	mx := func(hosts ...string) []net.MX {
		var out []net.MX
		for i, h := range hosts {
			out = append(out, net.MX{Host: h, Pref: uint16(10 * i)})
		}
		return out
	}
	many := make([]string, 100)
	for i := range many {
		many[i] = "h" + strconv.Itoa(i) + ".test."
	}
	zone := &resolvertest.Zone{
		MX: map[string][]net.MX{
			"loop.test": mx("lo.test."), "zero.test": mx("zero-host.test."), "private.test": mx("ten.test.", "ula.test."),
			"mapped.test": mx("mapped-host.test."), "null.test": mx("."), "self.test": mx("US.test.", "backup.test."),
			"mine.test": mx("mine-host.test."), "cname.test": mx("cname-loop.test."), "servfail.test": nil, "many.test": mx(many...),
			"nohost.test": mx("nowhere.test."),
		},
		IP: map[string][]string{
			"lo.test": {"127.0.0.1", "::1"}, "zero-host.test": {"0.0.0.0"}, "ten.test": {"10.1.2.3", "192.168.0.1", "169.254.1.1", "100.64.0.1"}, "ula.test": {"fd00::1"},
			"mapped-host.test": {"::ffff:127.0.0.1"}, "us.test": {"192.0.2.1"}, "backup.test": {"192.0.2.2"}, "mine-host.test": {"192.0.2.9"},
		},
		Fail: map[string]error{"servfail.test": resolver.ErrTemporary, "cname-loop.test": resolver.ErrTemporary},
	}
	for _, h := range many {
		zone.IP[strings.TrimSuffix(h, ".")] = []string{"192.0.2.50", "192.0.2.51"}
	}
	for domain, c := range map[string]struct {
		code     int
		enhanced smtp.EnhancedCode
		dials    int
	}{
		"loop.test":             {554, smtp.EnhancedCode{5, 4, 6}, 0},
		"zero.test":             {554, smtp.EnhancedCode{5, 4, 6}, 0},
		"mapped.test":           {554, smtp.EnhancedCode{5, 4, 6}, 0},
		"private.test":          {550, smtp.EnhancedCode{5, 4, 4}, 0},
		"self.test":             {554, smtp.EnhancedCode{5, 4, 6}, 0},
		"mine.test":             {554, smtp.EnhancedCode{5, 4, 6}, 0},
		"null.test":             {556, smtp.EnhancedCode{5, 1, 10}, 0},
		"missing.test":          {550, smtp.EnhancedCode{5, 1, 2}, 0},
		"nohost.test":           {550, smtp.EnhancedCode{5, 1, 2}, 0},
		"servfail.test":         {451, smtp.EnhancedCode{4, 4, 3}, 0},
		"cname.test":            {451, smtp.EnhancedCode{4, 4, 3}, 0},
		"many.test":             {451, smtp.EnhancedCode{4, 4, 1}, 10},
		"[127.0.0.1]":           {554, smtp.EnhancedCode{5, 4, 6}, 0},
		"[IPv6:::1]":            {554, smtp.EnhancedCode{5, 4, 6}, 0},
		"[192.168.1.1]":         {550, smtp.EnhancedCode{5, 4, 4}, 0},
		"[IPv6:64:ff9b::a00:1]": {550, smtp.EnhancedCode{5, 4, 4}, 0},
	} {
		dialled = 0
		o := options()
		o.Resolver = zone
		o.Own = []netip.AddrPort{netip.MustParseAddrPort("192.0.2.9:25")}
		o.Dial = func(_ context.Context, network, address string) (net.Conn, error) {
			dialled++
			return nil, errors.New("refused")
		}
		r := send(t, o, job(text, "a@us.test", "b@"+domain))[0].Reply
		require.Equal(t, c.code, r.Code, "%s: %v", domain, r)
		require.Equal(t, c.enhanced, r.EnhancedCode(), domain)
		require.Equal(t, c.dials, dialled, domain)
	}
}

func TestS35PeerThatAnswersWithOurNameIsALoop(t *testing.T) {
	_, port := hostile(t, dialogue(map[string]string{"EHLO": "250 Us.Test at your service"}))
	o := options()
	o.Port, o.AllowPrivate = port, loopback
	o.Resolver = &resolvertest.Zone{MX: map[string][]net.MX{"d.test": {{Host: "mx.test."}}}, IP: map[string][]string{"mx.test": {"127.0.0.1"}}}
	r := send(t, o, job(text, "a@us.test", "b@d.test"))[0].Reply
	require.Equal(t, smtp.EnhancedCode{5, 4, 6}, r.EnhancedCode())
}

func TestBackupMXPassesToBetterHostsOnly(t *testing.T) {
	p := newPeer(t, nil)
	o := options()
	o.Port, o.AllowPrivate = p.port, loopback
	o.Resolver = &resolvertest.Zone{
		MX: map[string][]net.MX{"d.test": {{Host: "us.test.", Pref: 20}, {Host: "main.test.", Pref: 10}, {Host: "third.test.", Pref: 30}}},
		IP: map[string][]string{"main.test": {"127.0.0.1"}},
	}
	results := send(t, o, job(text, "a@us.test", "b@d.test"))
	require.Equal(t, []int{250}, codes(results))
	require.Equal(t, "main.test", results[0].Host)
}
