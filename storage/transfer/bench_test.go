package transfer

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
)

// BenchmarkTransfer prints how fast 2,000 messages of 5 kB are exported and
// imported, beside the writing of as many files and one sync of all.
func BenchmarkTransfer(b *testing.B) {
	const messages = 2000
	ctx := context.Background()
	content := []byte("Subject: x\r\n\r\n" + strings.Repeat(strings.Repeat("x", 70)+"\r\n", 70))
	a := newAccount(b)
	box, err := a.Mailbox(ctx, storage.Inbox)
	require.NoError(b, err)
	for range messages {
		_, err := box.Append(ctx, storage.NewMessage{Body: message.FromBytes(content), Date: time.Unix(1, 0)})
		require.NoError(b, err)
	}
	rate := func(b *testing.B) { b.ReportMetric(messages*float64(b.N)/b.Elapsed().Seconds(), "messages/s") }
	b.Run("files", func(b *testing.B) {
		for range b.N {
			dir := b.TempDir()
			for i := range messages {
				require.NoError(b, os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), content, fileMode))
			}
			require.NoError(b, syncAll(dir, nil))
		}
		rate(b)
	})
	for _, format := range formats {
		var dir string
		b.Run("export/"+format.String(), func(b *testing.B) {
			for range b.N {
				dir = b.TempDir()
				_, err := Export(ctx, a, dir, format, Options{})
				require.NoError(b, err)
			}
			rate(b)
		})
		dir = b.TempDir()
		mustExport(b, a, dir, format)
		b.Run("import/"+format.String(), func(b *testing.B) {
			for range b.N {
				_, err := Import(ctx, newAccount(b), dir, format, Options{Journal: filepath.Join(b.TempDir(), "journal")})
				require.NoError(b, err)
			}
			rate(b)
		})
	}
}
