DROP TABLE provider_issuers;
