package main

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/dialogue"
	"github.com/posthouse-mail/posthouse/internal/realtest/clients"
)

// through is a client and how it connects.
type through struct {
	name  string
	tls   clients.TLS
	drive func(a *clients.Account, t testing.TB)
}

// readers are clients that read mail, first over TLS, one way or the other, and
// then without it.
var readers = []through{
	{"curl IMAP", clients.StartTLS, (*clients.Account).CurlIMAP},
	{"curl POP3", clients.Implicit, (*clients.Account).CurlPOP3},
	{"fetchmail IMAP", clients.Implicit, (*clients.Account).FetchmailIMAP},
	{"fetchmail POP3", clients.StartTLS, (*clients.Account).FetchmailPOP3},
	{"getmail IMAP", clients.Implicit, (*clients.Account).GetmailIMAP},
	{"getmail POP3", clients.Implicit, (*clients.Account).GetmailPOP3},
	{"mbsync", clients.StartTLS, mbsync},
	{"neomutt", clients.StartTLS, (*clients.Account).Neomutt},
	{"offlineimap", clients.Implicit, (*clients.Account).OfflineIMAP},
	{"Perl", clients.StartTLS, (*clients.Account).PerlIMAP},
	{"Python", clients.NoTLS, (*clients.Account).PythonIMAP}, // in all ways
	{"mechanisms", clients.StartTLS, (*clients.Account).CurlMechanisms},
	{"gsasl", clients.StartTLS, gsasl},
}

func mbsync(a *clients.Account, t testing.TB) { a.NewMbsync(t, 40).SyncsBothWays() }

func gsasl(a *clients.Account, t testing.TB) {
	for _, mechanism := range []string{"PLAIN", "LOGIN"} {
		a.GSASL(t, "imap", a.IMAP, "--mechanism", mechanism)
		a.GSASL(t, "smtp", a.Submission, "--mechanism", mechanism)
	}
}

// TestClientsOfACluster of both kinds of back ends has everything that needs
// such a cluster.
func TestClientsOfACluster(t *testing.T) {
	m := startMixed(t)
	t.Run("at once", func(t *testing.T) { allAtOnce(t, m) })
	// They slow down all that come from the same address.
	t.Run("P15 wrong passwords are refused", func(t *testing.T) { wrongPasswords(t, m) })
}

func allAtOnce(t *testing.T, m *mixed) {
	for name, test := range map[string]func(t *testing.T, m *mixed){
		"P13 clients read mail as from the back ends themselves":     readMail,
		"P49 what is submitted goes out as the user's who logged in": submitMail,
		"P44 mail for users of both back ends":                       sendMail,
		"P14 back ends of a master user see no passwords":            masterLogins,
		"P27 both tiers log one name of a session":                   oneNameEach,
		"scripts are managed":                                        manageScripts,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, m)
		})
	}
}

// readMail has each client read, move and delete mail of a user of each back
// end, with TLS on both ways and on none.
func readMail(t *testing.T, m *mixed) {
	for backEnd, back := range backEnds {
		for _, r := range readers {
			for name, a := range map[string]*clients.Account{
				"TLS": m.account(overTLS, back, r.tls), "plain": m.account(checks, back, clients.NoTLS),
			} {
				t.Run(fmt.Sprintf("%s/%s/%s", backEnd, r.name, name), func(t *testing.T) {
					t.Parallel()
					r.drive(a, t)
				})
			}
		}
	}
}

func wrongPasswords(t *testing.T, m *mixed) {
	for backEnd, back := range backEnds {
		a := m.account(overTLS, back, clients.StartTLS)
		for protocol, s := range map[string]clients.Service{"imap": a.IMAP, "smtp": a.Submission} {
			t.Run(backEnd+"/"+protocol, func(t *testing.T) {
				t.Parallel()
				a.GSASLIsRefused(t, protocol, s)
			})
		}
	}
}

// submitMail has users of each back end send mail to the others. The back ends
// send it on by way of a front end.
func submitMail(t *testing.T, m *mixed) {
	for backEnd, back := range backEnds {
		for name, from := range map[string]*clients.Account{
			"STARTTLS": m.account(overTLS, back, clients.StartTLS), "TLS": m.account(overTLS, back, clients.Implicit),
			"plain": m.account(checks, back, clients.NoTLS),
		} {
			t.Run(backEnd+"/"+name, func(t *testing.T) {
				t.Parallel()
				near, far := m.account(overTLS, back, clients.NoTLS), m.account(overTLS, ours+theirs-back, clients.NoTLS)
				from.CurlSubmits(t, far.User)
				from.SwaksSubmits(t, near.User)
				from.PythonSubmits(t, near.User, far.User)
				if back == ours { // which is the one with a rule for senders
					from.SwaksIsRefused(t, near.User)
				}
				far.Arrives(t, "Subject: sent by curl from "+from.User)
				near.Arrives(t, "Subject: sent by swaks from "+from.User)
				near.Arrives(t, "Subject: sent by Python from "+from.User)
				require.Contains(t, far.Arrives(t, "Subject: sent by Python from "+from.User), "Return-Path: <"+from.User+">")
			})
		}
	}
}

// sendMail has other people's programs send mail through the front ends.
func sendMail(t *testing.T, m *mixed) {
	own, other := m.account(overTLS, ours, clients.NoTLS), m.account(overTLS, theirs, clients.NoTLS)
	for _, front := range []int{overTLS, checks} {
		for _, a := range []*clients.Account{own, other} {
			subject := fmt.Sprintf("by smtp-source through %d", front)
			clients.SMTPSource(t, m.front(front)+":1025", subject, a.User, 20)
			require.Len(t, a.With(t, subject), 20)
		}
		subject := fmt.Sprintf("by swaks through %d", front)
		said := clients.Swaks(t, "LMTP", m.front(front)+":1024", subject, []string{own.User, "nobody@example.test", other.User})
		require.Contains(t, said, "550 5.1.1")
		for _, a := range []*clients.Account{own, other} {
			require.Len(t, a.With(t, subject), 1)
		}
	}
	both := []string{own.User, other.User}
	for front, subject := range map[int]string{overTLS: "without a queue", checks: "with a queue"} {
		require.Contains(t, clients.Swaks(t, "ESMTP", m.front(front)+":1025", subject, both), "250 2.0.0 Accepted")
		for _, a := range []*clients.Account{own, other} {
			require.Len(t, a.With(t, subject), 1)
		}
	}
}

// masterLogins has users of the Dovecot log in with passwords that it does not
// know.
func masterLogins(t *testing.T, m *mixed) {
	for _, r := range []through{
		{"curl IMAP", clients.StartTLS, (*clients.Account).CurlIMAP},
		{"curl POP3", clients.NoTLS, (*clients.Account).CurlPOP3},
		{"fetchmail POP3", clients.Implicit, (*clients.Account).FetchmailPOP3},
		{"mbsync", clients.Implicit, mbsync},
		{"gsasl", clients.NoTLS, gsasl},
		{"sieve-connect", clients.StartTLS, func(a *clients.Account, t testing.TB) { a.SieveConnect(t, func() {}) }},
		{"submission", clients.StartTLS, func(a *clients.Account, t testing.TB) {
			a.PythonSubmits(t, a.User)
			a.Arrives(t, "Subject: sent by Python from "+a.User)
		}},
	} {
		t.Run(r.name, func(t *testing.T) { r.drive(m.account(master, theirs, r.tls), t) })
	}
	require.NotContains(t, m.dovecot.Log(), "not-for-back-ends")
}

// manageScripts has mail filed by a script that was put there through a front
// end.
func manageScripts(t *testing.T, m *mixed) {
	for _, front := range []int{overTLS, checks} {
		a := m.account(front, theirs, clients.StartTLS)
		a.SieveConnect(t, func() {
			clients.SMTPSource(t, m.front(front)+":1025", "to be filed", a.User, 1)
		})
		require.Len(t, a.Look(t, "Elsewhere"), 1)
		require.Empty(t, a.Look(t, "INBOX"))
	}
}

// oneNameEach looks for a client's address and the session's name in the logs of
// both tiers.
func oneNameEach(t *testing.T, m *mixed) {
	client := m.address(99)
	from := []string{"--interface", client}
	own, other := m.account(overTLS, ours, clients.NoTLS), m.account(overTLS, theirs, clients.NoTLS)
	for _, a := range []*clients.Account{own, other} {
		dir := t.TempDir()
		a.Curl(t, dir, "imap", a.IMAP, "", from...)
		a.Curl(t, dir, "pop3", a.POP3, "", from...)
		a.CurlSubmits(t, a.User, from...)
	}
	nc, err := m.dialFrom(client, other.Sieve.Plain)
	require.NoError(t, err)
	dialogue.Play(t, nc, "ManageSieve", "S~ .IMPLEMENTATION.*\nS~ .SASL.*\nS~ .SIEVE.*\nS: \"STARTTLS\"\nS~ .VERSION.*\nS~ OK.*\n"+
		"C: AUTHENTICATE \"PLAIN\" \""+base64.StdEncoding.EncodeToString([]byte("\x00"+other.User+"\x00pw"))+"\"\nS~ OK.*\nC: LOGOUT\nS~ OK.*\n")
	clients.Swaks(t, "LMTP", m.front(overTLS)+":1024", "named", []string{own.User, other.User}, "--local-interface", client)

	logged := map[int]func() string{
		ours:   func() string { return m.log("backend1") },
		theirs: m.dovecot.Log,
	}
	services := map[string]int{}
	ofClient := regexp.MustCompile(`(?m)^.* msg="?(?:authenticated|logged in)"? .*remote=` + regexp.QuoteMeta(client) + ` .*$`)
	for _, line := range ofClient.FindAllString(m.log("frontend1"), -1) {
		name := regexp.MustCompile(`session=(\w+)`).FindStringSubmatch(line)[1]
		back := ours
		if strings.Contains(line, m.back(theirs)) {
			back = theirs
		}
		both := regexp.MustCompile(fmt.Sprintf(`(?m)^.*\b(session=%[1]s .*remote=%[2]s |remote=%[2]s .*session=%[1]s |rip=%[2]s, .*session=<%[1]s>)`, name, regexp.QuoteMeta(client)))
		require.Eventually(t, func() bool { return both.MatchString(logged[back]()) }, time.Minute, 10*time.Millisecond, "%s\n%s", line, logged[back]())
		services[fmt.Sprint(back)]++
	}
	require.Equal(t, map[string]int{"1": 3, "2": 4}, services, "IMAP, POP3, submission; ManageSieve")
	message := regexp.MustCompile(`message accepted" session=(\w+) id=\w+ service=lmtp remote=` + client + " ")
	name := message.FindStringSubmatch(m.log("frontend1"))
	require.NotNil(t, name)
	require.Equal(t, name[1], message.FindStringSubmatch(m.log("backend1"))[1])
	require.Regexp(t, `lmtp\(user\d+\)<\d+><`+name[1]+`>: Info: .*saved mail to INBOX`, m.dovecot.Log())
}
