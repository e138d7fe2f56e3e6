package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/storage"
	storagelocal "github.com/posthouse-mail/posthouse/storage/local"
)

func configOf(t *testing.T, text string) (*Config, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.toml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return loadConfig(file)
}

const storageText = `
[storage]
quota_bytes = "10G"
quota_messages = 1000
mailbox_quota_bytes = 4096
thresholds = [50, 75, 100]
acl = "inherit"
text_index = "all"
[domains."small.test".storage]
quota_bytes = "1M"
thresholds = [90]
acl = "plain"
[domains."Bücher.test".storage]
quota_messages = 0
`

func TestDomainsHaveTheSettingsOfAllButForTheirOwn(t *testing.T) {
	c, err := configOf(t, storageText)
	require.NoError(t, err)
	settings := c.settings()
	all := storage.Settings{
		Quota: storage.Quota{Bytes: 10 << 30, Messages: 1000}, MailboxQuota: storage.Quota{Bytes: 4096},
		Thresholds: []int{50, 75, 100}, NoticeEvery: 24 * time.Hour, ACL: storage.ACLInherit,
	}
	c.Storage.RetentionConfig.apply(&all)
	require.Equal(t, all, settings("example.test"))
	small := all
	small.Quota.Bytes, small.Thresholds, small.ACL = 1<<20, []int{90}, storage.ACLPlain
	require.Equal(t, small, settings("small.test"))
	books := all
	books.Quota.Messages = 0
	require.Equal(t, books, settings("xn--bcher-kva.test"))

	var out bytes.Buffer
	require.NoError(t, c.write(&out))
	again, err := configOf(t, out.String())
	require.NoError(t, err)
	require.Equal(t, c, again, "what config prints can be read")
	require.Equal(t, storagelocal.TextAll, c.storeOptions().Text.Mode)
	require.Equal(t, storagelocal.TextSearched, defaultConfig().storeOptions().Text.Mode)
	require.Equal(t, storage.ACLPlain, defaultConfig().settings()("example.test").ACL)
}

func TestStorageConfigThatCantBeIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"[storage]\nquota_bytes = \"10Q\"":                         "10Q",
		"[storage]\nquota_bytes = \"9999999T\"":                    "9999999T",
		"[storage]\nquota_bytes = -1":                              "-1",
		"[storage]\nquota_messages = -1":                           "-1",
		"[storage]\nthresholds = [95, 80]":                         "thresholds",
		"[storage]\nthresholds = [0]":                              "thresholds",
		"[storage]\nthresholds = [101]":                            "thresholds",
		"[storage]\nnotice_every = \"-1s\"":                        "notice_every",
		"[storage]\nacl = \"open\"":                                `"open"`,
		"[domains.\"a.test\".storage]\nacl = \"\"":                 "plain",
		"[storage]\ntext_index = \"some\"":                         `"some"`,
		"[domains.\"a.test\".storage]\ntext_index = \"off\"":       "for all domains",
		"[storage]\nquota = 1":                                     "storage.quota",
		"[domains.\"a.test\".storage]\nquota_mailboxes = -1":       `domains."a.test"`,
		"[domains.\"a.test\".storage]\nquota_bites = 1":            "quota_bites",
		"[domains.\"a.test\".storage]\nmailbox_quota_bytes = \"\"": "octets",
	} {
		_, err := configOf(t, text)
		require.ErrorContains(t, err, want, text)
	}
}

func TestSizesAreWrittenAsTheyAreRead(t *testing.T) {
	for text, want := range map[string]size{"0": 0, "1": 1, "1023": 1023, "1K": 1024, "1536K": 1536 << 10, "3M": 3 << 20, "10G": 10 << 30, "4T": 4 << 40} {
		var s size
		require.NoError(t, s.UnmarshalText([]byte(text)))
		require.Equal(t, want, s)
		require.Equal(t, text, s.String())
	}
}
