-- SPDX-License-Identifier: Apache-2.0
-- A registry as version 1 left it: alice in force and an admin for nine days, bob removed.
BEGIN TRANSACTION;
CREATE TABLE certificates (
                id INTEGER PRIMARY KEY,
                fingerprint TEXT NOT NULL,
                serial_number TEXT NOT NULL,
                key_id INTEGER NOT NULL REFERENCES keys (id),
                profile TEXT NOT NULL,
                not_before INTEGER NOT NULL,
                not_after INTEGER NOT NULL,
                state TEXT NOT NULL,
                reason TEXT,
                recorded_at INTEGER NOT NULL,
                changed_at INTEGER NOT NULL,
                der BLOB NOT NULL
            ) STRICT;
INSERT INTO "certificates" VALUES(1,'e28b9172ac020796da3c5ac144bf71c9768117e21c0bbea42e4b635174a919ce','3e9',1,'client',1772514367000000,1804136767000000,'active',NULL,1772600767890123,1772600767890123,X'3081CD308180A003020102020203E9300506032B65703010310E300C06035504030C05616C696365301E170D3236303330333035303630375A170D3237303330343035303630375A3010310E300C06035504030C05616C696365302A300506032B657003210003A107BFF3CE10BE1D70DD18E74BC09967E4D6309BA50D5F1DDC8664125531B8300506032B6570034100C5BCB9554016FA575C44A9D9FBB0FB20A049CD159582199219A4E8703695D1DB0C29601D91733A415B41CFCC0BD2DB038CE3EE011B24DBCBB7F9055FF929BC0D');
INSERT INTO "certificates" VALUES(2,'8b94a56e75b85b722a42ab626e814916e35981083c9a6fd18c1f2c8e2429855f','3ea',2,'client',1772514367000000,1804136767000000,'revoked','affiliationChanged',1772600767890123,1772600767890123,X'3081CD308180A003020102020203EA300506032B65703010310E300C06035504030C05616C696365301E170D3236303330333035303630375A170D3237303330343035303630375A3010310E300C06035504030C05616C696365302A300506032B657003210003A107BFF3CE10BE1D70DD18E74BC09967E4D6309BA50D5F1DDC8664125531B8300506032B6570034100D0D7EC1387EE39152983D22DDF60654CE5FF2C0E3E4C0FD859B6C81764A2A067540E0F447A0673474A7E9D486E6C42AD2E1BE1694A95357241D7978900F3520A');
CREATE TABLE counters (
                name TEXT PRIMARY KEY,
                value INTEGER NOT NULL
            ) STRICT, WITHOUT ROWID;
INSERT INTO "counters" VALUES('crl',1);
CREATE TABLE events (
                sequence INTEGER PRIMARY KEY,
                time INTEGER NOT NULL,
                actor TEXT NOT NULL,
                action TEXT NOT NULL,
                subject TEXT NOT NULL,
                detail TEXT NOT NULL,
                previous TEXT NOT NULL,
                hash TEXT NOT NULL
            ) STRICT;
INSERT INTO "events" VALUES(1,1772600767890123,'root','user.add','alice','{"display_name":"Alice M\u00fcller","email":"alice@example.com"}','25f14c106121995258d9c9d598d7fe591e992a11a97b2aafe30b4970360cf658','d214b487de4a876ebc541650463fd6fca2c21ec848f578b0482341c8a7460a57');
INSERT INTO "events" VALUES(2,1772600767890123,'root','user.add','bob','{"display_name":"bob","email":null}','d214b487de4a876ebc541650463fd6fca2c21ec848f578b0482341c8a7460a57','95769b74d3ffe2a56b8d696a9c3254595629ec52e6a80b923993cb699621602e');
INSERT INTO "events" VALUES(3,1772600767890123,'root','group.add','admins','{}','95769b74d3ffe2a56b8d696a9c3254595629ec52e6a80b923993cb699621602e','ac7a2eeb211f782d7d74f1550bbe085bb1d904f423d33896366538441f0769d8');
INSERT INTO "events" VALUES(4,1772600767890123,'root','group.join','admins','{"until":"2026-03-13T05:06:07.890123+00:00","user":"alice"}','ac7a2eeb211f782d7d74f1550bbe085bb1d904f423d33896366538441f0769d8','378b4c61cf2296df4fd204ac07f536bf2f71e9aa5c37a37c48f70baff91d25e4');
INSERT INTO "events" VALUES(5,1772600767890123,'root','crl.number','1','{}','378b4c61cf2296df4fd204ac07f536bf2f71e9aa5c37a37c48f70baff91d25e4','2c756e26deec7e67efbfd8509eb2bc94b80f610c35a7bcd24015271605c14b24');
INSERT INTO "events" VALUES(6,1772600767890123,'root','key.register','1','{"firmware":"5.7.4","form_factor":"USB-A","model":"YubiKey 5","user":"alice"}','2c756e26deec7e67efbfd8509eb2bc94b80f610c35a7bcd24015271605c14b24','ddc85c5e635f6301a6db5690edab02cb7b37c811361cd493597c0bc369d86214');
INSERT INTO "events" VALUES(7,1772600767890123,'root','certificate.record','e28b9172ac020796da3c5ac144bf71c9768117e21c0bbea42e4b635174a919ce','{"key":1,"not_after":"2027-03-04T05:06:07+00:00","profile":"client","serial_number":"3e9","user":"alice"}','ddc85c5e635f6301a6db5690edab02cb7b37c811361cd493597c0bc369d86214','a23a65bd55796d390d3c68b6088a69480b3a6162523b1cd044ecad250c38d89f');
INSERT INTO "events" VALUES(8,1772600767890123,'root','certificate.activate','e28b9172ac020796da3c5ac144bf71c9768117e21c0bbea42e4b635174a919ce','{"from":"pending","key":1,"reason":null,"user":"alice"}','a23a65bd55796d390d3c68b6088a69480b3a6162523b1cd044ecad250c38d89f','bc0f72256534cfe3237b0f51286d08337aa0ca0bc00154c283c446df684bec90');
INSERT INTO "events" VALUES(9,1772600767890123,'root','key.active','1','{"from":"provisioning","reason":"","user":"alice"}','bc0f72256534cfe3237b0f51286d08337aa0ca0bc00154c283c446df684bec90','14d2a71c93e185601482dc3a27507dbd9bac920e8957bed1ab6f993960690e97');
INSERT INTO "events" VALUES(10,1772600767890123,'root','key.register','2','{"firmware":"5.7.4","form_factor":"USB-A","model":"YubiKey 5","user":"bob"}','14d2a71c93e185601482dc3a27507dbd9bac920e8957bed1ab6f993960690e97','76f12c541fe2b913a6897af1c0464af0f50cad9b86cc484d9462b2fed2cfc83b');
INSERT INTO "events" VALUES(11,1772600767890123,'root','certificate.record','8b94a56e75b85b722a42ab626e814916e35981083c9a6fd18c1f2c8e2429855f','{"key":2,"not_after":"2027-03-04T05:06:07+00:00","profile":"client","serial_number":"3ea","user":"bob"}','76f12c541fe2b913a6897af1c0464af0f50cad9b86cc484d9462b2fed2cfc83b','527a893eeeebba745707ee2e631c8482d7e9bcf8321a189c65fa2c16f30c3d70');
INSERT INTO "events" VALUES(12,1772600767890123,'root','certificate.activate','8b94a56e75b85b722a42ab626e814916e35981083c9a6fd18c1f2c8e2429855f','{"from":"pending","key":2,"reason":null,"user":"bob"}','527a893eeeebba745707ee2e631c8482d7e9bcf8321a189c65fa2c16f30c3d70','1ddcd415b18094075e4bf91464f3cb2ff2a17c858c7e98104afed11a43e19241');
INSERT INTO "events" VALUES(13,1772600767890123,'root','key.active','2','{"from":"provisioning","reason":"","user":"bob"}','1ddcd415b18094075e4bf91464f3cb2ff2a17c858c7e98104afed11a43e19241','02392b74c3477c0f17863faf68a3aef732b20e9f78564b284e841cc7aab6b72c');
INSERT INTO "events" VALUES(14,1772600767890123,'root','certificate.revoke','8b94a56e75b85b722a42ab626e814916e35981083c9a6fd18c1f2c8e2429855f','{"from":"active","key":2,"reason":"affiliationChanged","user":"bob"}','02392b74c3477c0f17863faf68a3aef732b20e9f78564b284e841cc7aab6b72c','92f2361a6abcaf5e01f64436739e8ea795130d19d91d1ee8e457bc37fd32d227');
INSERT INTO "events" VALUES(15,1772600767890123,'root','key.retired','2','{"from":"active","reason":"user removed","user":"bob"}','92f2361a6abcaf5e01f64436739e8ea795130d19d91d1ee8e457bc37fd32d227','37c92ff57988f34b2c04b51494811e802f3dbc6cf8bcfd16bac6dfd2b1b80ee6');
INSERT INTO "events" VALUES(16,1772600767890123,'root','user.remove','bob','{}','37c92ff57988f34b2c04b51494811e802f3dbc6cf8bcfd16bac6dfd2b1b80ee6','e587bea4822f773e814c7294f2772aad76a6df4ace4c431700086de701eebf27');
CREATE TABLE "groups" (
                id INTEGER PRIMARY KEY,
                name TEXT NOT NULL UNIQUE,
                added_at INTEGER NOT NULL
            ) STRICT;
INSERT INTO "groups" VALUES(1,'admins',1772600767890123);
CREATE TABLE keys (
                id INTEGER PRIMARY KEY,
                serial INTEGER NOT NULL,
                model TEXT NOT NULL,
                firmware TEXT NOT NULL,
                form_factor TEXT NOT NULL,
                user_id INTEGER NOT NULL REFERENCES users (id),
                state TEXT NOT NULL,
                reason TEXT NOT NULL,
                barred INTEGER NOT NULL,
                registered_at INTEGER NOT NULL,
                changed_at INTEGER NOT NULL
            ) STRICT;
INSERT INTO "keys" VALUES(1,1,'YubiKey 5','5.7.4','USB-A',1,'active','',0,1772600767890123,1772600767890123);
INSERT INTO "keys" VALUES(2,2,'YubiKey 5','5.7.4','USB-A',2,'retired','user removed',0,1772600767890123,1772600767890123);
CREATE TABLE memberships (
                group_id INTEGER NOT NULL REFERENCES "groups" (id),
                user_id INTEGER NOT NULL REFERENCES users (id),
                until INTEGER,
                added_at INTEGER NOT NULL,
                PRIMARY KEY (group_id, user_id)
            ) STRICT, WITHOUT ROWID;
INSERT INTO "memberships" VALUES(1,1,1773378367890123,1772600767890123);
CREATE TABLE users (
                id INTEGER PRIMARY KEY,
                name TEXT NOT NULL,
                display_name TEXT NOT NULL,
                email TEXT,
                added_at INTEGER NOT NULL,
                removed_at INTEGER
            ) STRICT;
INSERT INTO "users" VALUES(1,'alice','Alice Müller','alice@example.com',1772600767890123,NULL);
INSERT INTO "users" VALUES(2,'bob','bob',NULL,1772600767890123,1772600767890123);
CREATE UNIQUE INDEX users_name_in_use ON users (lower(name)) WHERE removed_at IS NULL;
CREATE INDEX users_name ON users (name);
CREATE UNIQUE INDEX keys_serial_in_use ON keys (serial) WHERE state <> 'retired';
CREATE INDEX keys_serial ON keys (serial);
CREATE INDEX keys_user ON keys (user_id);
CREATE INDEX keys_state ON keys (state);
CREATE UNIQUE INDEX certificates_fingerprint ON certificates (fingerprint);
CREATE UNIQUE INDEX certificates_serial_number ON certificates (serial_number);
CREATE INDEX certificates_key
                ON certificates (key_id, state, not_after, not_before, fingerprint);
CREATE INDEX certificates_state ON certificates (state, not_after);
CREATE INDEX memberships_user ON memberships (user_id);
COMMIT;
PRAGMA application_id = 1885959783;
PRAGMA user_version = 1;
