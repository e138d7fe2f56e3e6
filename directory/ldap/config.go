package ldap

import (
	"crypto/tls"
	"time"
)

// ServerType says what kind of server a directory is. It decides the defaults
// of Config and how nested groups are found.
type ServerType int

// The types of servers.
const (
	Generic ServerType = iota
	OpenLDAP
	ActiveDirectory
)

// Several says what to do when several entries fit one user.
type Several int

// The two ways.
const (
	SeveralIsError Several = iota // ErrSeveral
	SeveralIsFirst                // the first that the server sends
)

// Referrals says what to do with referrals (RFC 4511 §4.1.10).
type Referrals int

// The two ways. Following happens with the same bind and within the same time.
const (
	IgnoreReferrals Referrals = iota
	FollowReferrals
)

// Config says which directory to ask, and how. A zero field means what its
// comment says. The tags are for who reads it from a file in TOML; choices
// stand there as their MarshalText writes them.
type Config struct {
	Type ServerType `toml:"type"`

	// URIs are one to five servers with the same content: "ldap://host:port",
	// "ldaps://host:port", "ldapi:///path" with the path's slashes as they are
	// or as %2F. The first that works is asked. Required.
	URIs     []string    `toml:"uris"`
	StartTLS bool        `toml:"starttls"` // RFC 4511 §4.14 on ldap:// connections, always verified
	TLS      *tls.Config `toml:"-"`        // roots and client certificate; nil: the system's. The server's name is the URI's unless this one names another

	BindDN       string `toml:"bind_dn"` // whom searches are bound as; empty: anonymous
	BindPassword string `toml:"bind_password" json:"-"`

	Base   string `toml:"base"`   // where searches begin, "dc=example,dc=test". Required
	Scope  Scope  `toml:"scope"`  // of Lookup
	Filter string `toml:"filter"` // of Lookup, see Filter; empty: of Type

	Several   Several   `toml:"several"`
	Referrals Referrals `toml:"referrals"`

	// Domain is appended to a user without "@" where %e stands; empty: nothing is.
	Domain string `toml:"domain"`

	Attributes Attributes `toml:"attributes"`
	Groups     Groups     `toml:"groups"`

	Timeout        time.Duration `toml:"timeout"`         // of one server's answer: connect, TLS handshake, bind and search together, and of the wait for a connection; 0: 4 seconds
	Retry          time.Duration `toml:"retry"`           // how often a server that failed is tried again, more often at first; 0: 10 seconds
	Connections    int           `toml:"connections"`     // for searches, to each server at most; 0: 8
	UserBinds      int           `toml:"user_binds"`      // connections for users' binds likewise; 0: 8
	MaxEntries     int           `toml:"max_entries"`     // of a search; 0: 1,000
	MaxAnswer      int64         `toml:"max_answer"`      // octets of one search's answer; 0: 4 MiB
	MaxConcurrency int           `toml:"max_concurrency"` // searches and binds that wait for a connection; more are ErrUnavailable. 0: 1,000

	Poll        time.Duration `toml:"poll"`         // how often Watch asks an Active Directory for changes; 0: 10 seconds
	WatchMemory int64         `toml:"watch_memory"` // octets of names that Watch remembers; 0: 64 MiB, for some 300,000 entries
}

// Attributes names the attributes of an entry. An empty name means the default
// in parentheses, of Active Directory behind the semicolon; "-" means none.
type Attributes struct {
	Mail     string `toml:"mail"`      // main address (mail; userPrincipalName where there is no mail)
	Aliases  string `toml:"aliases"`   // further addresses (mailLocalAddress; proxyAddresses)
	Password string `toml:"password"`  // (userPassword; none)
	Host     string `toml:"host"`      // of the back end (mailHost; none)
	MemberOf string `toml:"member_of"` // DNs of groups (memberOf)
	Member   string `toml:"member"`    // of a group: DNs of members (member)
	Login    string `toml:"login"`     // (uid; sAMAccountName)
	Forward  string `toml:"forward"`   // where mail goes instead (mailRoutingAddress; none)
}

// Groups says where groups are and who may log in.
type Groups struct {
	Base     string `toml:"base"`     // empty: Config.Base
	Filter   string `toml:"filter"`   // empty: (objectClass=groupOfNames), of Active Directory (objectClass=group)
	Required string `toml:"required"` // DN of a group in which a user must be, directly or in a group of it; empty: none
	Depth    int    `toml:"depth"`    // of groups in groups; 0: 10
	Max      int    `toml:"max"`      // groups that are looked at for one user; 0: 1,000
}
