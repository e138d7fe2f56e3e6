package imap

import (
	"fmt"
	"log/slog"
	"net"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/proxy"
)

// idHeard returns the ID command that a back end has heard; "" when it has not.
func idHeard(b *fakeBackend) string {
	for _, line := range b.lines() {
		if strings.Contains(line, " ID ") {
			return line
		}
	}
	return ""
}

// telling has a back end that is told of clients in ID.
func telling(b *fakeBackend) *proxy.Front {
	return withBackend(frontTo(b.route), proxy.Backend{Tell: proxy.TellID})
}

func TestP19TheProxyAnswersIDAndPassesItWithoutWhatIsForTheTrusted(t *testing.T) {
	b := startBackend(t, ordinary("IMAP4rev1 AUTH=PLAIN ID", nil))
	c := dial(t, newProxy(t, frontTo(b.route), func(p *Proxy) {
		p.Pass, p.ID = PassID, map[string]string{"name": "Front"}
	}))
	require.Equal(t, "* ID (\"name\" \"Front\")\r\n", c.ok(`ID ("name" "te\"st" "version" NIL "x-originating-ip" "192.0.2.9" "X-Proxy-TTL" "9" "y" {3+}`+"\r\na\r\n)"))
	c.ok("LOGIN alice secret")
	require.Equal(t, `p1 ID ("name" "te\"st" "version" NIL)`, idHeard(b), "a value with a line break is dropped")
}

func TestX02WhatAClientSaysOfItsAddressIsNotPassed(t *testing.T) {
	for _, f := range []func(*fakeBackend) *proxy.Front{telling, func(b *fakeBackend) *proxy.Front { return frontTo(b.route) }} {
		b := startBackend(t, ordinary("IMAP4rev1 AUTH=PLAIN ID", nil))
		c := dial(t, newProxy(t, f(b), func(p *Proxy) { p.Pass = PassID }))
		c.ok(`ID ("x-originating-ip" "192.0.2.9" "x-session-id" "forged" "X-ORIGINATING-PORT" "1")`)
		c.ok("LOGIN alice secret")
		require.NotContains(t, idHeard(b), "192.0.2.9")
		require.NotContains(t, idHeard(b), "forged")
	}
}

func TestP24IDTellsOfTheClientWithinTheBoundsOfRFC2971(t *testing.T) {
	log := &lockedBuffer{}
	b := startBackend(t, ordinary("IMAP4rev1 AUTH=PLAIN ID", nil))
	c := dial(t, newProxy(t, telling(b), func(p *Proxy) { p.Pass, p.Logger = PassID, slog.New(slog.NewTextHandler(log, nil)) }))
	var own strings.Builder
	for i := range 30 {
		fmt.Fprintf(&own, ` "n%d" "v"`, i)
	}
	c.ok("ID (" + own.String()[1:] + ")")
	c.ok("LOGIN alice secret")
	local, remote := c.conn.RemoteAddr().(*net.TCPAddr), c.conn.LocalAddr().(*net.TCPAddr)
	line := idHeard(b)
	require.Contains(t, line, fmt.Sprintf(`"x-originating-ip" "127.0.0.1" "x-originating-port" "%d" "x-connected-ip" "127.0.0.1" "x-connected-port" "%d" "x-proxy-ttl" "6" "x-session-id" "`, remote.Port, local.Port))
	require.Equal(t, 60, strings.Count(line, `"`)/2)
	require.Equal(t, 6, strings.Count(log.String(), "not told to the back end"))
	for _, field := range []idField{{name: ""}, {name: strings.Repeat("n", 31)}, {name: "n", value: strings.Repeat("v", 1025)}, {name: "n", value: "a\r\nb"}, {name: "ü"}} {
		require.False(t, field.sayable(), "%.40q", field)
	}
	require.True(t, (&idField{name: strings.Repeat("n", 30), value: strings.Repeat("v", 1024)}).sayable())
}

func TestNothingIsToldWhereTheBackEndDoesNotAnnounceID(t *testing.T) {
	b := startBackend(t, ordinary("IMAP4rev1 AUTH=PLAIN", nil))
	c := dial(t, newProxy(t, telling(b), func(p *Proxy) { p.Pass = PassID }))
	c.ok(`ID ("name" "test")`)
	c.ok("LOGIN alice secret")
	require.Empty(t, idHeard(b))
}

func TestP27TheSessionsIDIsInTheLogAndAtTheBackEnd(t *testing.T) {
	log := &lockedBuffer{}
	b := startBackend(t, ordinary("IMAP4rev1 AUTH=PLAIN ID", nil))
	addr := newProxy(t, telling(b), func(p *Proxy) { p.Logger = slog.New(slog.NewTextHandler(log, nil)) })
	login(t, addr)
	told := regexp.MustCompile(`"x-session-id" "(\w{10})"`).FindStringSubmatch(idHeard(b))
	require.Len(t, told, 2, idHeard(b))
	require.Contains(t, log.String(), "session="+told[1]+" backend=")
}

// TestIDAndTheLoginAreSaidTogether has a back end that answers nothing before
// it has heard both, in whatever order; the client hears one answer.
func TestIDAndTheLoginAreSaidTogether(t *testing.T) {
	for _, order := range [][]string{{"ID", "login"}, {"login", "ID"}} {
		b := startBackend(t, func(p *peerOfProxy) {
			p.say("* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR ID] back end ready")
			id, _, _ := strings.Cut(p.hear(), " ")
			login, _, _ := strings.Cut(p.hear(), " ")
			answers := map[string]string{
				"ID":    "* ID NIL\r\n" + id + " OK ID done",
				"login": login + " OK [CAPABILITY IMAP4rev1] in",
			}
			p.say(answers[order[0]])
			p.say(answers[order[1]])
			tag, _, _ := strings.Cut(p.hear(), " ")
			p.say(tag + " OK done")
		})
		c := dial(t, newProxy(t, telling(b), nil))
		require.Equal(t, "", c.ok("LOGIN alice secret"))
		require.Equal(t, "", c.ok("NOOP"), order)
	}
}
