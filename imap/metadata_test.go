package imap

import (
	"fmt"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/storage"
	"github.com/posthouse-mail/posthouse/storage/memory"
)

// TestI25MailboxesThatAreNotShownAreMissing compares answers about a mailbox
// that is not for mail with those about one that does not exist.
func TestI25MailboxesThatAreNotShownAreMissing(t *testing.T) {
	s, addr := newServer(t, func(s *Server) { s.QuotaAdmin = func(string) bool { return true } })
	makeOtherKinds(t, s.Store)
	c := login(t, addr)
	for _, command := range []string{
		"GETMETADATA %s /shared/comment", "GETMETADATA (DEPTH infinity) %s (/private)", `SETMETADATA %s (/private/comment "x")`, "SETMETADATA %s (/shared/comment NIL)",
		"GETQUOTA %s", "GETQUOTAROOT %s", "SETQUOTA %s (STORAGE 1)", "SETQUOTA %s (NONSENSE 1)",
	} {
		untagged, answer := c.cmd(fmt.Sprintf(command, "Absent"))
		for _, hidden := range []string{"Notes", "Plan/Work"} {
			u, a := c.cmd(fmt.Sprintf(command, hidden))
			require.Equal(t, answer, a, command)
			require.Equal(t, untagged, strings.ReplaceAll(u, hidden, "Absent"), command)
		}
	}
}

func TestBadNamesOfAnnotationsAreRefused(t *testing.T) {
	_, addr := newServer(t, func(s *Server) { s.Limits.BadAfter = 1000 })
	c := login(t, addr)
	for _, name := range []string{
		`""`, "/", "comment", "/comment", "/private/", "/private//x", "/shared/x/", `"/shared/x*"`, `"/shared/%"`, "//private/x", "/sharedx", "/private.x",
		"\"/private/\u00e9\"", "\"/private/\xff\"", "\"/private/\x01\"", "{12+}\r\n/private/\r\nx", "/private/" + strings.Repeat("x", 300), "NIL", "()", "(())",
	} {
		c.fails("GETMETADATA INBOX "+name, "BAD ")
		c.fails("GETMETADATA INBOX ("+name+" /shared/comment)", "BAD ")
		c.fails("SETMETADATA INBOX (/private/good x "+name+` "x")`, "BAD ")
		c.fails(`LIST "" * RETURN (METADATA (`+name+"))", "BAD ")
	}
	c.fails("GETMETADATA (DEPTH infinity DEPTH) INBOX /private", "BAD ")
	c.fails("GETMETADATA (MAXSIZE -1) INBOX /private", "BAD ")
	c.fails("GETMETADATA (MAXSIZE 9223372036854775808) INBOX /private", "BAD ")
	c.fails("GETMETADATA (DEPTH infinity) (DEPTH infinity) INBOX /private", "BAD ")
	require.NotContains(t, c.ok("GETMETADATA (DEPTH infinity) INBOX (/private /shared)"), "good")
}

func TestAnnotationsHaveBounds(t *testing.T) {
	_, addr := newServer(t, func(s *Server) { s.Limits.Line, s.Limits.Command = 8<<20, 8<<20 })
	c := login(t, addr)
	value := func(n int) string { return fmt.Sprintf("~{%d+}\r\n%s", n, strings.Repeat("x", n)) }
	c.fails("SETMETADATA INBOX (/private/x "+value(storage.MaxAnnotationValue+1)+")", "NO [METADATA MAXSIZE 65536]")
	c.fails("SETMETADATA INBOX (/private/small y /private/x \""+strings.Repeat("x", storage.MaxAnnotationValue+1)+"\")", "BAD ")
	c.ok("SETMETADATA INBOX (/private/x " + value(storage.MaxAnnotationValue) + ")")
	require.Contains(t, c.ok("GETMETADATA (MAXSIZE 70000) INBOX /private/x"), "{65536}\r\nxxx")
	c.ok("SETMETADATA INBOX (/private/x NIL)")

	many := func(n int, value string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, " /private/n%d %s", i, value)
		}
		return "(" + b.String()[1:] + ")"
	}
	c.fails("SETMETADATA INBOX "+many(10_000, `""`), "BAD ")
	c.ok("SETMETADATA INBOX " + many(storage.MaxAnnotations, `"v"`))
	c.fails(`SETMETADATA INBOX (/shared/more "v")`, "NO [METADATA TOOMANY]")
	require.Equal(t, storage.MaxAnnotations, strings.Count(c.ok("GETMETADATA (DEPTH infinity) INBOX /private"), "/private/n"))
	c.fails("GETMETADATA INBOX ("+strings.Repeat("/private/n1 ", 10_000)+"/private/n2)", "BAD Too many entries")
	repeated := "(" + strings.Repeat("/private /private/n1 ", maxMetadataNames/2-1) + "/private)"
	require.Equal(t, storage.MaxAnnotations, strings.Count(c.ok("GETMETADATA (DEPTH infinity) INBOX "+repeated), "/private/n"), "each once, however often it is asked for")
	c.ok("SETMETADATA INBOX " + many(storage.MaxAnnotations, "NIL"))
	for i := range 17 {
		text := fmt.Sprintf("SETMETADATA INBOX (/shared/%d %s)", i, value(storage.MaxAnnotationValue))
		if untagged, answer := c.cmd(text); i < 15 {
			require.Contains(t, answer, "OK ", untagged)
		} else {
			require.Contains(t, answer, "NO [METADATA TOOMANY]")
		}
	}
	require.Equal(t, 15, strings.Count(c.ok("GETMETADATA (DEPTH infinity) INBOX /shared"), "{65536}"))
}

func TestWhatTheStoreCanNotDoIsNotOffered(t *testing.T) {
	_, addr := newServer(t, func(s *Server) {
		s.Store = plainStore{memory.New()}
		s.QuotaAdmin = func(string) bool { return true }
	})
	c := login(t, addr)
	caps := c.ok("CAPABILITY")
	require.NotContains(t, caps, "METADATA")
	require.NotContains(t, caps, "QUOTA")
	for _, text := range []string{
		"GETMETADATA INBOX /shared/comment", `GETMETADATA "" /shared/comment`, `SETMETADATA INBOX (/private/x "y")`,
		`GETQUOTA ""`, "GETQUOTA INBOX", "GETQUOTAROOT INBOX", `SETQUOTA "" (STORAGE 1)`,
	} {
		c.fails(text, "NO [CANNOT]")
	}
	c.ok("APPEND INBOX {3+}\r\nabc")
}

func TestPrivateAnnotationsAreOfOneUser(t *testing.T) {
	s, addr := newServer(t, nil)
	account, err := s.Store.Account(t.Context(), "alice")
	require.NoError(t, err)
	notes, ok := storage.As[storage.Annotations](account)
	require.True(t, ok)
	for _, mailbox := range []string{"", "INBOX"} {
		require.NoError(t, notes.Annotate(t.Context(), mailbox, storage.Annotation{Name: "/x", User: "bob", Value: []byte("bob's")}))
	}
	c := login(t, addr)
	require.Empty(t, c.ok("GETMETADATA (DEPTH infinity) INBOX (/private /shared)"))
	require.Empty(t, c.ok(`GETMETADATA (DEPTH infinity) "" (/private /shared)`))
	c.ok(`SETMETADATA INBOX (/private/x NIL)`)
	list, err := notes.Annotations(t.Context(), "INBOX", "bob")
	require.NoError(t, err)
	require.Len(t, list, 1)
}

func TestInteropMetadata(t *testing.T) {
	_, addr := newServer(t, nil)
	c := peer(t, addr, nil)
	value, size := []byte("a\r\n\"b\""), uint32(5)
	require.NoError(t, c.SetMetadata("Sent", map[string]*[]byte{"/private/a/b": &value, "/private/a": &value}).Wait())
	data, err := c.GetMetadata("Sent", []string{"/private/a"}, nil).Wait()
	require.NoError(t, err)
	require.Equal(t, map[string]*[]byte{"/private/a": &value}, data.Entries)
	data, err = c.GetMetadata("Sent", []string{"/private"}, &imapclient.GetMetadataOptions{MaxSize: &size, Depth: imapclient.GetMetadataDepthInfinity}).Wait()
	require.NoError(t, err)
	require.NotContains(t, data.Entries, "/private/a")
	require.NoError(t, c.SetMetadata("Sent", map[string]*[]byte{"/private/a": nil}).Wait())
	require.NoError(t, c.Logout().Wait())
}

func TestInteropQuota(t *testing.T) {
	s, addr := newServer(t, nil)
	bound(t, s.Store)
	c := peer(t, addr, nil)
	roots, err := c.GetQuotaRoot("INBOX").Wait()
	require.NoError(t, err)
	require.Len(t, roots, 1)
	require.Equal(t, imapclient.QuotaResourceData{Usage: 0, Limit: 5}, roots[0].Resources["MESSAGE"])
	root, err := c.GetQuota(roots[0].Root).Wait()
	require.NoError(t, err)
	require.Equal(t, roots[0], *root)
}
