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
// comment says.
type Config struct {
	Type ServerType

	// URIs are one to five servers with the same content: "ldap://host:port",
	// "ldaps://host:port", "ldapi:///path" with the path's slashes as they are
	// or as %2F. The first that works is asked. Required.
	URIs     []string
	StartTLS bool        // RFC 4511 §4.14 on ldap:// connections, always verified
	TLS      *tls.Config // roots and client certificate; nil: the system's. The server's name is the URI's unless this one names another

	BindDN       string // whom searches are bound as; empty: anonymous
	BindPassword string `json:"-"`

	Base   string // where searches begin, "dc=example,dc=test". Required
	Scope  Scope  // of Lookup
	Filter string // of Lookup, see Filter; empty: of Type

	Several   Several
	Referrals Referrals

	// Domain is appended to a user without "@" where %e stands; empty: nothing is.
	Domain string

	Attributes Attributes
	Groups     Groups

	Timeout        time.Duration // of one server's answer: connect, TLS handshake, bind and search together, and of the wait for a connection; 0: 4 seconds
	Retry          time.Duration // how often a server that failed is tried again, more often at first; 0: 10 seconds
	Connections    int           // for searches, to each server at most; 0: 8
	UserBinds      int           // connections for users' binds likewise; 0: 8
	MaxEntries     int           // of a search; 0: 1,000
	MaxAnswer      int64         // octets of one search's answer; 0: 4 MiB
	MaxConcurrency int           // searches and binds that wait for a connection; more are ErrUnavailable. 0: 1,000
}

// Attributes names the attributes of an entry. An empty name means the default
// in parentheses, of Active Directory behind the semicolon; "-" means none.
type Attributes struct {
	Mail     string // main address (mail; userPrincipalName where there is no mail)
	Aliases  string // further addresses (mailLocalAddress; proxyAddresses)
	Password string // (userPassword; none)
	Host     string // of the back end (mailHost; none)
	MemberOf string // DNs of groups (memberOf)
	Member   string // of a group: DNs of members (member)
	Login    string // (uid; sAMAccountName)
	Forward  string // where mail goes instead (mailRoutingAddress; none)
}

// Groups says where groups are and who may log in.
type Groups struct {
	Base     string // empty: Config.Base
	Filter   string // empty: (objectClass=groupOfNames), of Active Directory (objectClass=group)
	Required string // DN of a group in which a user must be, directly or in a group of it; empty: none
	Depth    int    // of groups in groups; 0: 10
	Max      int    // groups that are looked at for one user; 0: 1,000
}
