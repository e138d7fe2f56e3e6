package imap

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/storage"
)

// TestFetchOfManyMessagesIsThatOfEach compares FETCH of sets that a store
// reads in a row, some at a time, with FETCH of single messages.
func TestFetchOfManyMessagesIsThatOfEach(t *testing.T) {
	for name, open := range openStores {
		t.Run(name, func(t *testing.T) {
			s, addr := newServer(t, func(s *Server) { s.Store = open(t) })
			const n = 3*storage.MaxSequence + 5
			for i := range n {
				deliver(t, s.Store, fmt.Sprintf("Subject: message %d\r\n\r\n%s", i, strings.Repeat("text\r\n", i%400)))
			}
			c := login(t, addr)
			c.ok("EXAMINE INBOX")
			items := " (UID ENVELOPE BODYSTRUCTURE BODY.PEEK[])"
			single := make([]string, n+1)
			for i := 1; i <= n; i++ {
				single[i] = c.ok(fmt.Sprintf("FETCH %d%s", i, items))
			}
			for _, set := range []string{"1:*", "5:250", "1,3,5,130:140,300:*", "200:190,1:2"} {
				got := c.ok("FETCH " + set + items)
				want := ""
				for _, m := range regexp.MustCompile(`(?m)^\* (\d+) FETCH`).FindAllStringSubmatch(got, -1) {
					want += single[atoi(m[1])]
				}
				require.Equal(t, want, got, set)
			}
			other := login(t, addr)
			other.ok("SELECT INBOX")
			other.ok(`STORE 2,200 +FLAGS.SILENT (\Deleted)`)
			other.ok("EXPUNGE")
			// Whether the content of what is gone can still be read is open.
			untagged, _ := c.cmd("FETCH 1:*" + items)
			for _, i := range []int{1, 3, 199, 201, n} {
				require.Contains(t, untagged, single[i])
			}
		})
	}
}
