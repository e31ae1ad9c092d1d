BEGIN TRANSACTION;
CREATE TABLE ledger_entries (
	loop VARCHAR(63) NOT NULL, 
	seq BIGINT NOT NULL, 
	kind VARCHAR(32) NOT NULL, 
	at VARCHAR(40) NOT NULL, 
	body TEXT NOT NULL, 
	previous VARCHAR(64) NOT NULL, 
	hash VARCHAR(64) NOT NULL, 
	PRIMARY KEY (loop, seq)
);
INSERT INTO "ledger_entries" VALUES('toy',1,'trigger.received','2026-01-01T00:00:01.000Z','{"alert":null,"fingerprint":null,"labels":{},"occurrence":0,"source":"manual","starts_at":null,"summary":"one","trigger":1}','0000000000000000000000000000000000000000000000000000000000000000','bff1907f397ed41d294d77c50eb6fc2181d732f5c17341aecd1e977ad1fd10d9');
INSERT INTO "ledger_entries" VALUES('toy',2,'trigger.decided','2026-01-01T00:00:02.000Z','{"decision":{"answer":"accept","evidence":{},"hold_until":null,"reason":"because","rule":"accepted"},"run":"toy-1","trigger":1}','bff1907f397ed41d294d77c50eb6fc2181d732f5c17341aecd1e977ad1fd10d9','af4b573243e0ab0da5eafa9d793c7294a1d36592343713952ebd1243ed1ace35');
INSERT INTO "ledger_entries" VALUES('toy',3,'run.launched','2026-01-01T00:00:03.000Z','{"process":{"pid":7},"run":"toy-1"}','af4b573243e0ab0da5eafa9d793c7294a1d36592343713952ebd1243ed1ace35','9745138dcec4bc0d838f5280532b8b4c5ac07496f48bf7d5ab804e28f0e899ef');
INSERT INTO "ledger_entries" VALUES('toy',4,'run.ended','2026-01-01T00:00:04.000Z','{"record":{"champion":null,"ended_at":"2026-01-01T00:00:03Z","id":"toy-1","loop":"toy","outcome":"failed","reason":"it died","span":null,"started_at":"2026-01-01T00:00:03Z","steps":[],"trigger":"1","version":null},"run":"toy-1"}','9745138dcec4bc0d838f5280532b8b4c5ac07496f48bf7d5ab804e28f0e899ef','13ad3b7051eccfc4d77b1c87dbe69ba2ab2611b24afefb778840ea98cdb8745c');
INSERT INTO "ledger_entries" VALUES('toy',5,'trigger.received','2026-01-01T00:00:05.000Z','{"alert":null,"fingerprint":null,"labels":{},"occurrence":0,"source":"manual","starts_at":null,"summary":"two","trigger":2}','13ad3b7051eccfc4d77b1c87dbe69ba2ab2611b24afefb778840ea98cdb8745c','fbebe4ce774f479b402e4bb6c7e85d14ffc3620e299a86c8c12fa9f687602e99');
INSERT INTO "ledger_entries" VALUES('toy',6,'trigger.decided','2026-01-01T00:00:06.000Z','{"decision":{"answer":"hold","evidence":{},"hold_until":null,"reason":"because","rule":"cooldown"},"run":null,"trigger":2}','fbebe4ce774f479b402e4bb6c7e85d14ffc3620e299a86c8c12fa9f687602e99','9d725ca3328ad8aadb219e9235f215102f759ec461eb63cfa3c331e41ceb23ee');
CREATE TABLE ledger_heads (
	loop VARCHAR(63) NOT NULL, 
	seq BIGINT NOT NULL, 
	hash VARCHAR(64) NOT NULL, 
	PRIMARY KEY (loop)
);
INSERT INTO "ledger_heads" VALUES('toy',6,'9d725ca3328ad8aadb219e9235f215102f759ec461eb63cfa3c331e41ceb23ee');
CREATE TABLE ledger_runs (
	loop VARCHAR(63) NOT NULL, 
	id VARCHAR(63) NOT NULL, 
	"trigger" INTEGER NOT NULL, 
	accepted_at VARCHAR(40) NOT NULL, 
	launched_at VARCHAR(40), 
	ended_at VARCHAR(40), 
	process TEXT, 
	record TEXT, 
	PRIMARY KEY (loop, id)
);
INSERT INTO "ledger_runs" VALUES('toy','toy-1',1,'2026-01-01T00:00:02.000Z','2026-01-01T00:00:03.000Z','2026-01-01T00:00:04.000Z','{"pid":7}','{"champion":null,"ended_at":"2026-01-01T00:00:03Z","id":"toy-1","loop":"toy","outcome":"failed","reason":"it died","span":null,"started_at":"2026-01-01T00:00:03Z","steps":[],"trigger":"1","version":null}');
CREATE TABLE ledger_triggers (
	loop VARCHAR(63) NOT NULL, 
	id INTEGER NOT NULL, 
	source VARCHAR(16) NOT NULL, 
	alert VARCHAR(64), 
	fingerprint VARCHAR(64), 
	starts_at VARCHAR(40), 
	occurrence INTEGER NOT NULL, 
	labels TEXT NOT NULL, 
	summary TEXT NOT NULL, 
	received_at VARCHAR(40) NOT NULL, 
	resolved_at VARCHAR(40), 
	decision TEXT, 
	answer VARCHAR(16), 
	decided_at VARCHAR(40), 
	run VARCHAR(63), 
	PRIMARY KEY (loop, id), 
	UNIQUE (loop, fingerprint, starts_at, occurrence)
);
INSERT INTO "ledger_triggers" VALUES('toy',1,'manual',NULL,NULL,NULL,0,'{}','one','2026-01-01T00:00:01.000Z',NULL,'{"answer":"accept","evidence":{},"hold_until":null,"reason":"because","rule":"accepted"}','accept','2026-01-01T00:00:02.000Z','toy-1');
INSERT INTO "ledger_triggers" VALUES('toy',2,'manual',NULL,NULL,NULL,0,'{}','two','2026-01-01T00:00:05.000Z',NULL,'{"answer":"hold","evidence":{},"hold_until":null,"reason":"because","rule":"cooldown"}','hold','2026-01-01T00:00:06.000Z',NULL);
CREATE INDEX ledger_triggers_answer ON ledger_triggers (loop, answer);
CREATE TRIGGER ledger_no_update BEFORE UPDATE ON ledger_entries BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER ledger_no_delete BEFORE DELETE ON ledger_entries BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
COMMIT;
