package main

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"github.com/posthouse-mail/posthouse/examples/internal/config"
	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/storage"
	storagelocal "github.com/posthouse-mail/posthouse/storage/local"
)

// StorageConfig says what accounts may hold. It stands in [storage] for all
// domains; in [domains."NAME".storage] stands what is different for one.
type StorageConfig struct {
	QuotaBytes     size  `toml:"quota_bytes"`     // of an account without bounds of its own, "10G"; 0: no bound, so below
	QuotaMessages  int64 `toml:"quota_messages"`  // of an account
	QuotaMailboxes int64 `toml:"quota_mailboxes"` // of an account

	MailboxQuotaBytes     size  `toml:"mailbox_quota_bytes"` // of each mailbox without bounds of its own
	MailboxQuotaMessages  int64 `toml:"mailbox_quota_messages"`
	MailboxQuotaMailboxes int64 `toml:"mailbox_quota_mailboxes"` // itself and those below it

	Thresholds  []int           `toml:"thresholds"`   // percents of its quota at which an account gets a notice, ascending
	NoticeEvery config.Duration `toml:"notice_every"` // how long no other notice follows, unless of a higher threshold

	ACL aclMode `toml:"acl"` // how access control lists are read: "plain", or "inherit" with those above a mailbox

	TextIndex textMode `toml:"text_index"` // of which mailboxes an index of words is kept for searches: "searched", "all" or "off"; for all domains

	RetentionConfig
}

// DomainConfig is what is different for one domain.
type DomainConfig struct {
	Storage       StorageConfig `toml:"storage"`
	CreateAtLogin bool          `toml:"create_at_login"` // who is known to a directory or a password file gets an account when he logs in for the first time
}

func defaultStorage() StorageConfig {
	return StorageConfig{Thresholds: []int{80, 95}, NoticeEvery: config.Duration(24 * time.Hour), RetentionConfig: defaultRetention()}
}

// settings returns what the configuration says as the store wants to know it.
func (c *StorageConfig) settings() storage.Settings {
	s := storage.Settings{
		Quota:        storage.Quota{Bytes: int64(c.QuotaBytes), Messages: c.QuotaMessages, Mailboxes: c.QuotaMailboxes},
		MailboxQuota: storage.Quota{Bytes: int64(c.MailboxQuotaBytes), Messages: c.MailboxQuotaMessages, Mailboxes: c.MailboxQuotaMailboxes},
		Thresholds:   c.Thresholds,
		NoticeEvery:  time.Duration(c.NoticeEvery),
		ACL:          storage.ACLMode(c.ACL),
	}
	c.RetentionConfig.apply(&s)
	return s
}

func (c *StorageConfig) validate() error {
	for _, n := range [...]int64{c.QuotaMessages, c.QuotaMailboxes, c.MailboxQuotaMessages, c.MailboxQuotaMailboxes} {
		if n < 0 {
			return fmt.Errorf("a quota is %d", n)
		}
	}
	last := 0
	for _, t := range c.Thresholds {
		if t <= last || t > 100 {
			return fmt.Errorf("thresholds are %v, not percents of 1 to 100 in ascending order", c.Thresholds)
		}
		last = t
	}
	if c.NoticeEvery < 0 {
		return errors.New("notice_every is negative")
	}
	return c.RetentionConfig.validate()
}

// settings returns what the accounts of a domain have in common, for the store.
func (c *Config) settings() func(domain string) storage.Settings {
	common, own := c.Storage.settings(), make(map[string]storage.Settings, len(c.Domains))
	for name, d := range c.Domains {
		own[mail.DomainKey(name)] = d.Storage.settings()
	}
	return func(domain string) storage.Settings {
		if s, ok := own[domain]; ok {
			return s
		}
		return common
	}
}

func (c *Config) validateStorage() error {
	if err := c.Storage.validate(); err != nil {
		return fmt.Errorf("storage: %w", err)
	}
	for name, d := range c.Domains {
		if err := d.Storage.validate(); err != nil {
			return fmt.Errorf("domains.%q.storage: %w", name, err)
		}
		if d.Storage.TextIndex != c.Storage.TextIndex {
			return fmt.Errorf("domains.%q.storage: text_index is for all domains", name)
		}
	}
	return nil
}

// loadDomains reads what a file says of single domains over what it says of
// all, which has been read.
func (c *Config) loadDomains(text string) error {
	var file struct {
		Domains map[string]struct {
			Storage toml.Primitive `toml:"storage"`
		} `toml:"domains"`
	}
	meta, err := toml.Decode(text, &file)
	if err != nil {
		return err
	}
	for name, d := range file.Domains {
		own := c.Storage
		own.Thresholds = slices.Clone(own.Thresholds) // which the decoder writes over
		if meta.IsDefined("domains", name, "storage") {
			if err := meta.PrimitiveDecode(d.Storage, &own); err != nil {
				return err
			}
		}
		of := c.Domains[name]
		of.Storage = own
		c.Domains[name] = of
	}
	return nil
}

// aclMode is a storage.ACLMode, written as "plain" or "inherit".
type aclMode storage.ACLMode

func (m *aclMode) UnmarshalText(text []byte) error {
	for _, mode := range [...]storage.ACLMode{storage.ACLPlain, storage.ACLInherit} {
		if aclMode(mode).String() == string(text) {
			*m = aclMode(mode)
			return nil
		}
	}
	return fmt.Errorf("acl is %q, not \"plain\" or \"inherit\"", text)
}

func (m aclMode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// String returns the mode as it is written.
func (m aclMode) String() string {
	if storage.ACLMode(m) == storage.ACLInherit {
		return "inherit"
	}
	return "plain"
}

// textMode is a storagelocal.TextMode as it is written.
type textMode storagelocal.TextMode

func (m *textMode) UnmarshalText(text []byte) error {
	for _, mode := range [...]storagelocal.TextMode{storagelocal.TextSearched, storagelocal.TextAll, storagelocal.TextOff} {
		if mode.String() == string(text) {
			*m = textMode(mode)
			return nil
		}
	}
	return fmt.Errorf("text_index is %q, not \"searched\", \"all\" or \"off\"", text)
}

func (m textMode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

func (m textMode) String() string { return storagelocal.TextMode(m).String() }

// size is a number of octets, written as "512M" or "10G", or without a unit.
type size int64

const sizeUnits = "KMGT" // each is 1024 of the one before

func (s *size) UnmarshalText(text []byte) error {
	digits, shift := string(text), 0
	if n := len(digits); n > 0 {
		if unit := strings.IndexByte(sizeUnits, digits[n-1]); unit >= 0 {
			digits, shift = digits[:n-1], 10*(unit+1)
		}
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || n > math.MaxInt64>>shift {
		return fmt.Errorf("%q is not a number of octets, as 10G", text)
	}
	*s = size(n << shift)
	return nil
}

func (s size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// String writes the size with the largest unit of which it is a whole number.
func (s size) String() string {
	unit := ""
	for i := 0; i < len(sizeUnits) && s != 0 && s%1024 == 0; i++ {
		s, unit = s/1024, sizeUnits[i:i+1]
	}
	return strconv.FormatInt(int64(s), 10) + unit
}
