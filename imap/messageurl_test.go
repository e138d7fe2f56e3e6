package imap

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/storage"
)

func TestMessageURLsAreReadAsRFC5092Writes(t *testing.T) {
	section := func(s imap.FetchItemBodySection) *imap.FetchItemBodySection { return &s }
	plain := section(imap.FetchItemBodySection{})
	for text, want := range map[string]messageURL{
		"/INBOX/;UID=20":                       {mailbox: "INBOX", uid: 20, section: plain},
		"/inbox;uidvalidity=785799047/;uid=20": {mailbox: "INBOX", validity: 785799047, uid: 20, section: plain},
		";UID=1":                               {uid: 1, section: plain},
		"/a/b%20c/%C3%A9/;UID=1":               {mailbox: "a/b c/é", uid: 1, section: plain},
		"/a%3Bb/;UID=1":                        {mailbox: "a;b", uid: 1, section: plain},
		"imap://user;AUTH=*@host.example:143/Drafts;UIDVALIDITY=385759045/;UID=20/;section=1.2": {
			host: "host.example", user: "user", mailbox: "Drafts", validity: 385759045, uid: 20, section: section(imap.FetchItemBodySection{Part: []int{1, 2}})},
		"IMAP://host/x/;UID=1": {host: "host", mailbox: "x", uid: 1, section: plain},
		"/x/;UID=1/;SECTION=1.MIME/;PARTIAL=10.20": {mailbox: "x", uid: 1, section: section(imap.FetchItemBodySection{
			Part: []int{1}, Specifier: imap.PartSpecifierMIME, Partial: &imap.SectionPartial{Offset: 10, Size: 20}})},
		"/x/;UID=1/;PARTIAL=7": {mailbox: "x", uid: 1, section: section(imap.FetchItemBodySection{Partial: &imap.SectionPartial{Offset: 7, Size: toTheEnd}})},
	} {
		got, err := parseMessageURL(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{
		"", "/", ";", "/INBOX", "/INBOX/", "/INBOX;UID=1", "/INBOX/;UID=0", "/INBOX/;UID=+1", "/INBOX/;UID=4294967296", "/INBOX/;UID=1;", "/INBOX/;UID=1/", "//;UID=1", "/;UID=1",
		"INBOX/;UID=1", "x/;UID=1", "/INBOX;UIDVALIDITY=0/;UID=1", "/INBOX;UIDVALIDITY=1;UID=1", "/INBOX;UIDVALIDITY=1", "/INBOX/;UIDVALIDITY=1/;UID=1",
		"/INBOX/;UID=1/;SECTION=", "/INBOX/;UID=1/;SECTION=x", "/INBOX/;UID=1/;SECTION=1]", "/INBOX/;UID=1/;SECTION=1%5D%3C0.1%3E", "/INBOX/;UID=1/;SECTION=%0d%0a", "/INBOX/;UID=1/;SECTION=%zz",
		"/INBOX/;UID=1/;PARTIAL=", "/INBOX/;UID=1/;PARTIAL=1.0", "/INBOX/;UID=1/;PARTIAL=1.", "/INBOX/;UID=1/;PARTIAL=1/;SECTION=1", "/INBOX/;UID=1/;PARTIAL=99999999999999999999",
		"/INBOX/;UID=1;URLAUTH=anonymous:INTERNAL:00", "/INBOX/;UID=1/;EXPIRE=2030-01-01T00:00:00Z;URLAUTH=anonymous", "/INBOX?SUBJECT%20x", "/INBOX/;UID=1?x",
		"imap:///INBOX/;UID=1", "imap://host", "imap://host/;UID=1", "imap://host;UID=1", "imap://%zz@host/x/;UID=1", "http://host/INBOX/;UID=1", "/../../etc/passwd", "/%00/;UID=1",
		"/" + strings.Repeat("x", maxURL) + "/;UID=1",
	} {
		_, err := parseMessageURL(text)
		require.Error(t, err, text)
	}
}

func TestURLsOfOneselfAreHere(t *testing.T) {
	_, addr := newServer(t, func(s *Server) { s.Hostname = "mail.example.test"; deliver(t, s.Store, plainMessage) })
	c := login(t, addr)
	got := c.ok("STATUS INBOX (UIDVALIDITY)")
	validity := regexp.MustCompile(`UIDVALIDITY (\d+)`).FindStringSubmatch(got)[1]
	for url, answer := range map[string]string{
		"/INBOX;UIDVALIDITY=" + validity + "/;UID=1":                            "OK [APPENDUID",
		"/INBOX;UIDVALIDITY=" + validity + "1/;UID=1":                           "NO [BADURL",
		"imap://MAIL.example.test/INBOX/;UID=1":                                 "OK [APPENDUID",
		"imap://alice;AUTH=PLAIN@mail.example.test:143/INBOX/;UID=1/;SECTION=1": "OK [APPENDUID",
		"imap://bob@mail.example.test/INBOX/;UID=1":                             "NO [BADURL",
		"imap://alice@example.test/INBOX/;UID=1":                                "NO [BADURL",
		";UID=1":                                                                "NO [BADURL", // nothing is selected
	} {
		c.fails(`APPEND Drafts CATENATE (URL "`+url+`")`, answer)
	}
}

func TestCatenateIsBounded(t *testing.T) {
	_, addr := newServer(t, func(s *Server) {
		s.Limits.AppendSize = 10_000
		deliver(t, s.Store, "Subject: x\r\n\r\n"+strings.Repeat("x", 4000))
	})
	c := login(t, addr)
	c.fails(`APPEND Drafts CATENATE (`+strings.Repeat(`URL "/INBOX/;UID=1" `, 3)+`)`, "NO [TOOBIG]")
	c.fails(`APPEND Drafts CATENATE (URL "/INBOX/;UID=1") CATENATE (URL "/INBOX/;UID=1" URL "/INBOX/;UID=1")`, "NO [TOOBIG]")
	c.fails(`APPEND Drafts CATENATE (`+strings.Repeat(`URL "/INBOX/;UID=1/;PARTIAL=0.1" `, maxCatParts)+`URL "/INBOX/;UID=1/;PARTIAL=0.1")`, "NO [LIMIT]")
	c.fails(`APPEND Drafts CATENATE (URL "`+strings.Repeat("x", maxURL+1)+`")`, "NO [BADURL")
	c.fails("APPEND {6+}\r\nDrafts CATENATE (URL {14+}\r\n/INBOX/;UID=1 TEXT {1+}\r\nx)", "NO [BADURL")
	require.Contains(t, c.ok("STATUS Drafts (MESSAGES)"), "MESSAGES 0")

	c.send("big APPEND Drafts CATENATE (URL {262144+}\r\n")
	c.expectClosed()
}

func TestCatenateNeedsTheRightToRead(t *testing.T) {
	const command = `APPEND Drafts CATENATE (URL "/Other%20Users/bob/Box/;UID=1")`
	withRights(t, "lr").ok(command)
	withRights(t, "r").ok(command)
	for _, rights := range []string{"", "l", "lswipkxtea"} {
		withRights(t, rights).fails(command, "NO [BADURL /Other%20Users/bob/Box/;UID=1]")
	}
}

func TestReplaceInStoresThatCantDoItAsOneChange(t *testing.T) {
	s, addr := newServer(t, func(s *Server) {
		deliver(t, s.Store, plainMessage)
		s.Store = plainStore{s.Store}
	})
	c := login(t, addr)
	c.ok("SELECT INBOX")
	require.Regexp(t, `^\* OK \[APPENDUID \d+ 2\] .*\r\n\* 1 EXPUNGE\r\n\* 1 EXISTS\r\n`, c.ok("REPLACE 1 INBOX {3+}\r\nabc"))

	// What is to be replaced goes while the replacement arrives.
	c.send("r REPLACE 1 INBOX {3}\r\n")
	require.Equal(t, "+ Ready for literal", c.line())
	account, err := s.Store.Account(t.Context(), "alice")
	require.NoError(t, err)
	box, err := account.Mailbox(t.Context(), "INBOX")
	require.NoError(t, err)
	_, err = box.Expunge(t.Context(), imap.UIDSetNum(2))
	require.NoError(t, err)
	c.send("abc\r\n")
	_, answer := c.until("r")
	require.Equal(t, "NO [EXPUNGEISSUED] Message no longer exists", answer)
	st, err := box.Status(t.Context())
	require.NoError(t, err)
	require.Zero(t, st.Messages, "the replacement was taken back")
}

func TestReplaceOfAMessageThatGoesMeanwhile(t *testing.T) {
	for name, open := range openStores {
		t.Run(name, func(t *testing.T) {
			s, addr := newServer(t, func(s *Server) { s.Store = open(t); deliver(t, s.Store, plainMessage) })
			c, other := login(t, addr), login(t, addr)
			c.ok("SELECT INBOX")
			c.send("r REPLACE 1 INBOX {3}\r\n")
			require.Equal(t, "+ Ready for literal", c.line())
			other.ok("SELECT INBOX")
			other.ok(`STORE 1 +FLAGS.SILENT (\Deleted)`)
			other.ok("EXPUNGE")
			c.send("abc\r\n")
			_, answer := c.until("r")
			require.Equal(t, "NO [EXPUNGEISSUED] Message no longer exists", answer)
			account, err := s.Store.Account(t.Context(), "alice")
			require.NoError(t, err)
			box, err := account.Mailbox(t.Context(), "INBOX")
			require.NoError(t, err)
			st, err := box.Status(t.Context())
			require.NoError(t, err)
			require.Zero(t, st.Messages)
		})
	}
}

// FuzzMessageURL checks that what is read as a URL is one: written again from
// what was read, it means the same.
func FuzzMessageURL(f *testing.F) {
	for _, seed := range []string{
		"/INBOX/;UID=1", ";UID=1/;SECTION=1.MIME", "imap://a;AUTH=x@h:1/b;UIDVALIDITY=1/;UID=2/;PARTIAL=1.2", "/a/b/;UID=1/;SECTION=HEADER.FIELDS%20(a)", "/;;/", "imap://@/", "/%/;UID=1",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		u, err := parseMessageURL(text)
		if err != nil {
			return
		}
		require.NotZero(t, u.uid)
		require.NotNil(t, u.section)
		if u.mailbox == "" {
			require.Empty(t, u.host)
			return
		}
		clean, err := storage.CleanName(u.mailbox)
		require.NoError(t, err)
		require.Equal(t, u.mailbox, clean)
		again, err := parseMessageURL(fmt.Sprintf("/%s/;UID=%d", strings.ReplaceAll(strings.ReplaceAll(u.mailbox, "%", "%25"), ";", "%3B"), u.uid))
		require.NoError(t, err)
		require.Equal(t, [2]any{u.mailbox, u.uid}, [2]any{again.mailbox, again.uid})
	})
}
