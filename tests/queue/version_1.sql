BEGIN TRANSACTION;
CREATE TABLE curves (
	job_id INTEGER NOT NULL, 
	points TEXT NOT NULL, 
	PRIMARY KEY (job_id), 
	FOREIGN KEY(job_id) REFERENCES jobs (id)
);
INSERT INTO "curves" VALUES(1,'{"steps":[0,100],"series":{"ema_loss":[2.5,2.25]}}');
INSERT INTO "curves" VALUES(3,'{"steps":[0,100],"series":{"ema_loss":[2.5,2.25]}}');
CREATE TABLE events (
	id INTEGER NOT NULL, 
	job_id INTEGER NOT NULL, 
	at DOUBLE NOT NULL, 
	kind TEXT NOT NULL, 
	worker_id TEXT, 
	epoch INTEGER NOT NULL, 
	detail TEXT NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(job_id) REFERENCES jobs (id)
);
INSERT INTO "events" VALUES(1,1,1000000.0,'added',NULL,0,'');
INSERT INTO "events" VALUES(2,2,1000000.0,'added',NULL,0,'');
INSERT INTO "events" VALUES(3,3,1000000.0,'added',NULL,0,'');
INSERT INTO "events" VALUES(4,4,1000000.0,'added',NULL,0,'');
INSERT INTO "events" VALUES(5,5,1000000.0,'added',NULL,0,'');
INSERT INTO "events" VALUES(6,6,1000000.0,'added',NULL,0,'');
INSERT INTO "events" VALUES(7,7,1000000.0,'added',NULL,0,'');
INSERT INTO "events" VALUES(8,8,1000000.0,'added',NULL,0,'');
INSERT INTO "events" VALUES(9,9,1000000.0,'imported',NULL,0,'');
INSERT INTO "events" VALUES(10,1,1000000.0,'claimed','w1',1,'');
INSERT INTO "events" VALUES(11,3,1000000.0,'claimed','w1',1,'');
INSERT INTO "events" VALUES(12,5,1000000.0,'claimed','w1',1,'');
INSERT INTO "events" VALUES(13,7,1000000.0,'claimed','w1',1,'');
INSERT INTO "events" VALUES(14,1,1000001.0,'finished','w1',1,'');
INSERT INTO "events" VALUES(15,5,1000001.0,'failed','w1',1,'Traceback
ValueError: no');
INSERT INTO "events" VALUES(16,7,1000001.0,'released','w1',1,'');
INSERT INTO "events" VALUES(17,7,1000001.0,'resumed','w2',2,'');
INSERT INTO "events" VALUES(18,7,1000001.0,'rescued','w2',2,'gone');
CREATE TABLE experiments (
	name TEXT NOT NULL, 
	spec TEXT NOT NULL, 
	created_at DOUBLE NOT NULL, 
	updated_at DOUBLE NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "experiments" VALUES('demo','{"a":1}',1000000.0,1000000.0);
CREATE TABLE jobs (
	id INTEGER NOT NULL, 
	experiment TEXT NOT NULL, 
	round TEXT NOT NULL, 
	config_hash TEXT NOT NULL, 
	payload TEXT NOT NULL, 
	group_key TEXT NOT NULL, 
	target_steps INTEGER NOT NULL, 
	priority INTEGER NOT NULL, 
	status TEXT NOT NULL, 
	epoch INTEGER NOT NULL, 
	worker_id TEXT, 
	step INTEGER NOT NULL, 
	deaths INTEGER NOT NULL, 
	seconds DOUBLE NOT NULL, 
	result TEXT, 
	error TEXT, 
	created_at DOUBLE NOT NULL, 
	started_at DOUBLE, 
	finished_at DOUBLE, 
	PRIMARY KEY (id), 
	CONSTRAINT uq_jobs_identity UNIQUE (experiment, round, config_hash), 
	CONSTRAINT ck_jobs_status CHECK (status IN ('pending', 'running', 'done', 'failed')), 
	FOREIGN KEY(experiment) REFERENCES experiments (name), 
	FOREIGN KEY(worker_id) REFERENCES workers (id)
);
INSERT INTO "jobs" VALUES(1,'demo','first','bd0488843468e63c62bb6d1df790f0a83de90616c0906e9dbd3275d3b4100d97','{"seed":0}','a',1000,0,'done',1,'w1',1000,0,1.5,'{"loss": 0.1, "it": "don''t"}',NULL,1000000.0,1000000.0,1000001.0);
INSERT INTO "jobs" VALUES(2,'demo','first','fbe47f6d82b435a89f6e6fca65ad16138195de06c5fc3ffb66826a76e64e479f','{"seed":1}','b',1000,0,'pending',0,NULL,0,0,0.0,NULL,NULL,1000000.0,NULL,NULL);
INSERT INTO "jobs" VALUES(3,'demo','first','a61e75dcd678010325906ec0497a92ff374228ab114bdf4eec89209e2576ebb2','{"seed":2}','a',1000,0,'running',1,'w1',250,0,2.0,NULL,NULL,1000000.0,1000000.0,NULL);
INSERT INTO "jobs" VALUES(4,'demo','first','4d687b6437462c4d42e6b3ca5812976a72f39b30a2d78d5f5d1be4880f9aa5a5','{"seed":3}','b',1000,0,'pending',0,NULL,0,0,0.0,NULL,NULL,1000000.0,NULL,NULL);
INSERT INTO "jobs" VALUES(5,'demo','first','ef731a0a50cf73d25aa0bd97853117727063d6d5c77e5768de5ad4c8496b38c2','{"seed":4}','a',1000,0,'failed',1,'w1',0,0,0.0,NULL,'Traceback
ValueError: no',1000000.0,1000000.0,1000001.0);
INSERT INTO "jobs" VALUES(6,'demo','first','5c3c68cee554fe6fbe8ff3e033c4a2017cc9959999ec7a1eba8b1ad15de537a6','{"seed":5}','b',1000,0,'pending',0,NULL,0,0,0.0,NULL,NULL,1000000.0,NULL,NULL);
INSERT INTO "jobs" VALUES(7,'demo','first','1dc5900f4db06df1078b057b83f2bc188de8cfe6e1b8c1d323105dcab9eb9047','{"seed":6}','a',1000,0,'pending',2,'w2',0,1,0.0,NULL,NULL,1000000.0,1000000.0,NULL);
INSERT INTO "jobs" VALUES(8,'demo','first','beced1fe696351bb996169a4f1987ca19b5f52f37c7ef3071f9c044cf3580bfc','{"seed":7}','b',1000,0,'pending',0,NULL,0,0,0.0,NULL,NULL,1000000.0,NULL,NULL);
INSERT INTO "jobs" VALUES(9,'demo','second','c442f5857859441442dea972e78031d245c48c2eb6f15a16b3e594347b977b49','{"seed":20}','g',1000,0,'done',0,NULL,1000,0,7.5,'{"loss": 2.5}',NULL,1000000.0,NULL,1000000.0);
CREATE TABLE meta (
	"key" TEXT NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY ("key")
);
INSERT INTO "meta" VALUES('application','rnnlab');
INSERT INTO "meta" VALUES('schema_version','1');
CREATE TABLE workers (
	id TEXT NOT NULL, 
	host TEXT NOT NULL, 
	boot_id TEXT NOT NULL, 
	pid INTEGER NOT NULL, 
	device TEXT NOT NULL, 
	lock_path TEXT NOT NULL, 
	started_at DOUBLE NOT NULL, 
	heartbeat_at DOUBLE NOT NULL, 
	lease_until DOUBLE NOT NULL, 
	stopped_at DOUBLE, 
	PRIMARY KEY (id)
);
INSERT INTO "workers" VALUES('w1','elsewhere','',4711,'cpu','/nowhere/worker.lock',1000000.0,1000000.0,1000060.0,NULL);
INSERT INTO "workers" VALUES('w2','elsewhere','',4711,'cpu','/nowhere/worker.lock',1000000.0,1000000.0,1000060.0,1000001.0);
CREATE INDEX ix_jobs_worker ON jobs (worker_id) WHERE status = 'running';
CREATE INDEX ix_jobs_claim ON jobs (priority DESC, epoch > 0 DESC, id, group_key) WHERE status = 'pending';
CREATE INDEX ix_jobs_started ON jobs (priority DESC, id) WHERE status = 'pending' AND epoch > 0;
CREATE INDEX ix_jobs_claim_group ON jobs (group_key, priority DESC, epoch > 0 DESC, id, experiment) WHERE status = 'pending';
CREATE INDEX ix_jobs_counts ON jobs (experiment, round, status);
CREATE INDEX ix_jobs_hash ON jobs (config_hash);
CREATE INDEX ix_jobs_claim_experiment ON jobs (experiment, priority DESC, epoch > 0 DESC, id, group_key) WHERE status = 'pending';
CREATE INDEX ix_events_job_id ON events (job_id);
COMMIT;
