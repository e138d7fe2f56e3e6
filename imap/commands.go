package imap

// commands is the table of everything a client can ask for. The parse
// functions and requests stand in files named after the commands.
var commands = map[string]command{
	"CAPABILITY":   {states: always, parse: parseCapability, updates: allUpdates},
	"NOOP":         {states: always, parse: parseNoop, updates: allUpdates},
	"LOGOUT":       {states: always, parse: parseLogout},
	"ID":           {states: always, parse: parseID, updates: allUpdates},
	"STARTTLS":     {states: before, parse: parseStartTLS},
	"AUTHENTICATE": {states: before, parse: parseAuthenticate},
	"LOGIN":        {states: before, parse: parseLogin, ready: (*session).loginReady},

	"ENABLE":      {states: after, parse: parseEnable, updates: allUpdates},
	"SELECT":      {states: loggedIn, parse: parseSelect},
	"EXAMINE":     {states: loggedIn, parse: parseExamine},
	"CREATE":      {states: loggedIn, parse: parseCreate, updates: allUpdates},
	"DELETE":      {states: loggedIn, parse: parseDelete, updates: allUpdates},
	"RENAME":      {states: loggedIn, parse: parseRename, updates: allUpdates},
	"SUBSCRIBE":   {states: loggedIn, parse: parseSubscribe, updates: allUpdates},
	"UNSUBSCRIBE": {states: loggedIn, parse: parseUnsubscribe, updates: allUpdates},
	"LIST":        {states: loggedIn, parse: parseList, updates: allUpdates},
	"LSUB":        {states: loggedIn, parse: parseLsub, updates: allUpdates},
	"NAMESPACE":   {states: loggedIn, parse: parseNamespace, updates: allUpdates},
	"NOTIFY":      {states: loggedIn, parse: parseNotify, updates: allUpdates},
	"STATUS":      {states: loggedIn, parse: parseStatus, updates: allUpdates},
	"APPEND":      {states: loggedIn, stream: runAppend, updates: allUpdates},
	"IDLE":        {states: loggedIn, parse: parseIdle, updates: allUpdates},

	"UNAUTHENTICATE": {states: loggedIn, parse: parseUnauthenticate},

	"CHECK":    {states: selected, parse: parseCheck, updates: allUpdates},
	"CLOSE":    {states: selected, parse: parseClose},
	"UNSELECT": {states: selected, parse: parseUnselect},
	"EXPUNGE":  {states: selected, parse: parseExpunge, updates: allUpdates},
	"SEARCH":   {states: selected, parse: searchParser(bySeq), updates: allButExpunge},
	"FETCH":    {states: selected, parse: fetchParser(bySeq), updates: allButExpunge},
	"STORE":    {states: selected, parse: storeParser(bySeq), updates: allButExpunge},
	"COPY":     {states: selected, parse: copyParser(bySeq), updates: allUpdates},
	"MOVE":     {states: selected, parse: moveParser(bySeq), updates: allUpdates},
	"REPLACE":  {states: selected, stream: replaceStream(bySeq), updates: allUpdates},

	"UID EXPUNGE": {states: selected, parse: parseUIDExpunge, updates: allUpdates},
	"UID SEARCH":  {states: selected, parse: searchParser(byUID), updates: allUpdates},
	"UID FETCH":   {states: selected, parse: fetchParser(byUID), updates: allUpdates},
	"UID STORE":   {states: selected, parse: storeParser(byUID), updates: allUpdates},
	"UID COPY":    {states: selected, parse: copyParser(byUID), updates: allUpdates},
	"UID MOVE":    {states: selected, parse: moveParser(byUID), updates: allUpdates},
	"UID REPLACE": {states: selected, stream: replaceStream(byUID), updates: allUpdates},
}
