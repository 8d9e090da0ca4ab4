-- What LiteLLM's own start adds to a database it made: its views, and the record of its migrations, so that its
-- migrator takes this schema for what it is. A database that LiteLLM made is never touched by this file; where a
-- LiteLLM has started on one of ours, what is there stays.

CREATE FUNCTION pg_temp.make_view(name text, body text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF to_regclass(quote_ident(name)) IS NULL THEN
        EXECUTE format('CREATE VIEW %I AS %s', name, body);
    END IF;
END $$;

SELECT pg_temp.make_view('LiteLLM_VerificationTokenView', $$
    SELECT k.*, team.spend AS team_spend, team.max_budget AS team_max_budget,
           team.model_max_budget AS team_model_max_budget, team.tpm_limit AS team_tpm_limit,
           team.rpm_limit AS team_rpm_limit, team.tpd_limit AS team_tpd_limit, project.project_alias
    FROM "LiteLLM_VerificationToken" k
    LEFT JOIN "LiteLLM_TeamTable" team USING (team_id)
    LEFT JOIN "LiteLLM_ProjectTable" project USING (project_id)
$$);
SELECT pg_temp.make_view('MonthlyGlobalSpend', $$
    SELECT "startTime"::date AS date, sum(spend) AS spend
    FROM "LiteLLM_SpendLogs" WHERE "startTime" >= current_date - interval '30 days' GROUP BY 1
$$);
SELECT pg_temp.make_view('MonthlyGlobalSpendPerKey', $$
    SELECT "startTime"::date AS date, sum(spend) AS spend, api_key
    FROM "LiteLLM_SpendLogs" WHERE "startTime" >= current_date - interval '30 days' GROUP BY 1, 3
$$);
SELECT pg_temp.make_view('MonthlyGlobalSpendPerUserPerKey', $$
    SELECT "startTime"::date AS date, sum(spend) AS spend, api_key, "user"
    FROM "LiteLLM_SpendLogs" WHERE "startTime" >= current_date - interval '30 days' GROUP BY 1, 3, 4
$$);
SELECT pg_temp.make_view('Last30dKeysBySpend', $$
    SELECT log.api_key, k.key_alias, k.key_name, sum(log.spend) AS total_spend
    FROM "LiteLLM_SpendLogs" log LEFT JOIN "LiteLLM_VerificationToken" k ON k.token = log.api_key
    WHERE log."startTime" >= current_date - interval '30 days' GROUP BY 1, 2, 3 ORDER BY 4 DESC
$$);
SELECT pg_temp.make_view('Last30dModelsBySpend', $$
    SELECT model, sum(spend) AS total_spend
    FROM "LiteLLM_SpendLogs" WHERE "startTime" >= current_date - interval '30 days' AND model <> ''
    GROUP BY 1 ORDER BY 2 DESC
$$);
-- LiteLLM compares with the session's user, not the column: so does this.
SELECT pg_temp.make_view('Last30dTopEndUsersSpend', $$
    SELECT end_user, count(*) AS total_events, sum(spend) AS total_spend
    FROM "LiteLLM_SpendLogs"
    WHERE "startTime" >= current_date - interval '30 days' AND end_user <> '' AND end_user <> user
    GROUP BY 1 ORDER BY 3 DESC LIMIT 100
$$);
SELECT pg_temp.make_view('DailyTagSpend', $$
    SELECT tag AS individual_request_tag, "startTime"::date AS spend_date, count(*) AS log_count, sum(spend) AS total_spend
    FROM "LiteLLM_SpendLogs", jsonb_array_elements_text(request_tags) AS tag GROUP BY 1, 2
$$);

CREATE TABLE IF NOT EXISTS _prisma_migrations (
    id varchar(36) PRIMARY KEY,
    checksum varchar(64) NOT NULL,
    finished_at timestamptz,
    migration_name varchar(255) NOT NULL,
    logs text,
    rolled_back_at timestamptz,
    started_at timestamptz NOT NULL DEFAULT now(),
    applied_steps_count integer NOT NULL DEFAULT 0
);
INSERT INTO _prisma_migrations (id, checksum, finished_at, migration_name, applied_steps_count)
SELECT gen_random_uuid(), checksum, now(), name, 1 FROM (VALUES
    ('20250326162113_baseline', '35afca4826335f8bd2bc2b733c0540de51c6a199d39c27a2d1910c53e1a02647'),
    ('20250326171002_add_daily_user_table', '48b046b5dcfe063869b28fd4c47ed4aa553707ccb02a42be276c43ae0d7cd612'),
    ('20250327180120_add_api_requests_to_daily_user_table', '47ffc522eec4af95fc48c18d4f92b86a6dd6c755b2afb40dc4585b69ebd109da'),
    ('20250329084805_new_cron_job_table', '050f9d2bf329e99b1c294a5c137d73859dded58324af55696d5c7f51f7e281d4'),
    ('20250331215456_track_success_and_failed_requests_daily_agg_table', '049767abdd55f43520a1c2201a9a99f7356be451bec8c7e52895301fa0e2eb61'),
    ('20250411215431_add_managed_file_table', '477ee9e678d0a6f4a3e97898b085a0dfb6ddd24730c28f46e68a700f37ee2d2f'),
    ('20250412081753_team_member_permissions', '67b629914bbb8f6fa26c52fac9fd4940a96e5c1371d76dbadc620de66a554244'),
    ('20250415151647_add_cache_read_write_tokens_daily_spend_transactions', 'bc904bdd0befbb6e2fb96b6f4bb7699d1c85518b85cce7f1822524d64d67c3ff'),
    ('20250415191926_add_daily_team_table', 'f07d74cf601a93592bf6fb0cd732d21a261a23c461b4d64a5eb500b82f38e1c8'),
    ('20250416115320_add_tag_table_to_db', '7a4a9a98c40803f33f46ece325a233687df1d69402e7536b5e0ae3fb7cdb94d8'),
    ('20250416151339_drop_tag_uniqueness_requirement', 'e795d3fc96efff0b386425d5d1090319280317dd5954a01614f828a6e020302a'),
    ('20250416185146_add_allowed_routes_litellm_verification_token', '35377cad4aaf835bd319f56811c344d53654ea664216f39c15ddd20434c1b69c'),
    ('20250425182129_add_session_id', '1cb236b5c18b69b62b58e8c92cb762cb0be309cfdf2bfd935733ba198673d726'),
    ('20250430193429_add_managed_vector_stores', 'd89c388b45a1367f0ad93543e56bfeaa32a391ff8adf1c18ab74003635446261'),
    ('20250507161526_add_mcp_table_to_db', 'f03c48cd15a994d4e6727cf4749ad27d52277da0d76561e9d7f50de94e8379b0'),
    ('20250507161527_add_health_check_fields_to_mcp_servers', 'b0cb512a90b674c5531b2c722048c936efefe834b3050715483d1b9c3c195de2'),
    ('20250507184818_add_mcp_key_team_permission_mgmt', '3fc693f5dbdbb9968a6d95f2c940a04646b258eb671c70ff01bf4772e27e5979'),
    ('20250508072103_add_status_to_spendlogs', 'ad1052154ae85e7a3beac99764f23ee50feb0eb745a0970935a471d5e730f433'),
    ('20250509141545_use_big_int_for_daily_spend_tables', '50f6805ecaf21af5594ff4a739ffb5c87bb96ca3d356bda03f7cd8eb814a47ba'),
    ('20250510142544_add_session_id_index_spend_logs', 'f718b2a74f2a8529c079242e36330206a17b985d31d36e16fc31861090a74c93'),
    ('20250514142245_add_guardrails_table', '67fdce0f3f25d350bc661f8f32b747ee7cd3e18dab46a90f72ef7e46024098af'),
    ('20250522223020_managed_object_table', '9f4099edfb29658b8330afec322d97f2f1233fae81946c51521bbdcde5bf67e0'),
    ('20250526154401_allow_null_entity_id', '3bd0b7fd731a1d2e43aaefc346dca6f3d6e1b29022792422429c4ad4c4d06604'),
    ('20250528185438_add_vector_stores_to_object_permissions', '55939a32735a821668ea76cf37ad550e0f567225eec6d7595221a9f7445e5854'),
    ('20250603210143_cascade_budget_changes', 'c2eb9e521552dbb2f7f14652a7f0d66c892589745ef121c1799e06fa5bd53e2d'),
    ('20250618225828_add_health_check_table', '9e8723ee10d9ce8c5dcad41da4bcb2f8db2d7cab415eff59eb3ecc38b698d2e9'),
    ('20250625145206_cascade_budget_and_loosen_managed_file_json', '4ae034e93702511a6641b53102836f239cfee44393703b4ac0be0a5849f69bde'),
    ('20250625213625_add_status_to_managed_object_table', 'a397ffbfaba32f88d7d453b28f24e3dc8dc240974926e0456d9eaab06fb34b09'),
    ('20250707212517_add_mcp_info_column_mcp_servers', '820dbb9d88eba37648b5e65c2beedfaa022276fc5a704a8fddafb5e36dcc9038'),
    ('20250707230009_add_mcp_namespaced_tool_name', 'f345c94a2d1ba5250b8185f86068dc29c8cb1535f13cf5b670dc25f5fb03d2e6'),
    ('20250711220620_add_stdio_mcp', 'b1d0f71ed415833ebf31efbad070bc73e2fafce59ec148d3087071848d5282b9'),
    ('20250718125714_add_litellm_params_to_vector_stores', '11655e562e501337d5b19c56e7d2785f9f3964c16d0bda4f701f9c26c4bedc8e'),
    ('20250802162330_prompt_table', 'bf163aaf3bcb043f81cdaba361207009399bc74e64417b30289f241206fd5dfd'),
    ('20250806095134_rename_alias_to_server_name_mcp_table', '0607b76d63bdea31615737631d7e6c0fb4b308b9ebad832affa8a5cc914043ac'),
    ('20250918083359_drop_spec_version_column_from_mcp_table', '9bda666c0d3ce21746477a5a28c2b35a715579e9c55460c50dbc334d790aff1b'),
    ('20250926194702_unnamed_migration', '425b6e795967c9f494c5a2d612d0d0d3203d263b843727941ce3a262064c398a'),
    ('20251003165142_add_allowed_tools_to_mcp', '4f9c1595a2d6bddf693ec845058f9413aeffc8a6ea8b46b53566a36b6d93f1e2'),
    ('20251003190954_extra_headers_to_mcp_table', 'fe1ae32b28502546173d9345e4d55d05f9644f87750ba9e0a1b28c35c9291f51'),
    ('20251006143948_add_mcp_tool_permissions', '6562a695c0bc052bfbb76da2ee4db808d6070e0c9e421d54ddf69bf943ec922d'),
    ('20251011084309_add_tag_table', 'aa1d44f4a4762cb046d6c1103fcbcb9bd43625188e864d76da236190289194b4'),
    ('20251023141814_add_search_tool_table', '663483c4470c0ede72f80da33da2361d94bba8700387d748960dc20ea7785ccb'),
    ('20251031181430_add_cache_config_table', '2f4cd52ea467195bd838bd8fc9df0ae1c443db0fe4985fa1a83a7032f9b36018'),
    ('20251101131415_add_managed_vector_store_index_table', '95564113904a3f141e4470aa3dfc1f559e3d23a8a3f64e9986833d725ea83b28'),
    ('20251103072422_add_static_headers', '5a06bdfc76f654b56cb4b6e6f7a8cbc8710d8bf8a956fbec315befa047c0851d'),
    ('20251104220043_add_credentials_to_mcp_servers', 'd41ba79c0256b803302c6af066885c779a1b1ce5d697347fa8853871d851fc65'),
    ('20251113000000_add_project_table', 'f9ca207f007c9d80c433f918d6d432598614df5dc89ec7fc8d9effe5ebf23744'),
    ('20251113000001_add_project_fields', 'bb9657c76de699e4527516929492dbb173c2d800b242a5db30c1ff803f56a0b1'),
    ('20251114173537_add_request_id_to_daily_tag_spend', '756a19475ebee069e8847fa65f3210ba7bb5b816929a477588c67dfa8adf743f'),
    ('20251114180624_Add_org_usage_table', '83ba27846dec4011f8b17df50b47cfb9200f6198c5398a47bf2c0be32fffd430'),
    ('20251114182247_agents_table', '04abaf00e118987d0a9de36954f2fddc97c456e4af4f0e203b5141427743f33c'),
    ('20251119131227_add_prompt_versioning', '9796ddf9bc6994b507ff9f6a9e460a284230ab3f4dde4cd1a9224f21f08e19c5'),
    ('20251122125322_Add organization_id to spend logs', 'd2723db3432cddfb6f6e0cf85b14297fe0e2157fc4b8dd1e2f7819a740cccc36'),
    ('20251204124859_add_end_user_spend_table', 'bc1914aefc7203fdcaadb7b70ae513b2e75bd72b268f5fde8e144caabb3a1b45'),
    ('20251204142718_add_agent_permissions', '86038393c8ebaf7bb60df05dfa7024a17fe8c03aa7fac858beaaf8f07ec753bc'),
    ('20251209112246_add_ui_settings_table', '3ad6c3f157817a4b3d37832d0e0cb78455a50466315c20e6462f07ccd166f882'),
    ('20251210125210_add_storage_backend_to_managed_files', '2b23aa2aee91f35133eb0e38e413c5979df9ff9949d57ac70550a5a17ad1a53f'),
    ('20251210205007_add_daily_agent_spend_table', '43177e6394f79b21baa869588551f62b41349536239891113d3016eae7552353'),
    ('20251211100212_schema_sync', '375bcf8045e6cacdaeeca5e120516aa9bd57743e926f48cad66dbaeb09f6ad57'),
    ('20251219110931_add_deleted_keys_and_deleted_teams_tables', '3b3de59c965b5fec61886f09fa0c3e406c1d1194b8674353ea4b7baac3cba3af'),
    ('20251220144550_schema_update', '8e219b15b4e476b22c1716992fd513152039de1c5951a0ac694d1ffba26111b3'),
    ('20260102131258_add_metadata_urls_to_mcp_servers', 'eee02bb2a33b6bdf324081d9006f8da5f1298a0c7f8fa4ae52391d4b3fdd2d2e'),
    ('20260105151539_add_allow_all_keys_to_mcp_servers', 'b28ffa7014e196d4b1a8e7d52371be91d5633a6b661f0e5e6346b3fc18fd6456'),
    ('20260106155622_add_endpoint_to_daily_activity_tables', 'ccfeb894b1fab623593531f189dcd0c098352f9c65c407cb70d2ea9a6086a656'),
    ('20260107111013_add_router_settings_to_keys_teams', '9aebf31dd752cf36c8f084d00053ff83af52bf45845549cbb9cb901147d8f2d5'),
    ('20260108_add_user_email_lower_idx', '3cb5404a0f325ccf199bb63b283e4da752d97c5012c736cb9cd00755f8ebae03'),
    ('20260116142756_update_deleted_keys_teams_table_routing_settings', 'b73e82dcb5dd5607c3635a651f7fbc7d7b9d943504e28e4ae58384d3c970706f'),
    ('20260123131407_add_policy_tables_and_policies_field', '45714f4a2e87eb33b7ef53a5320235b5cafc8a0cc307b00743e74dae6719ea67'),
    ('20260131150814_add_team_user_to_vector_stores', '547773d84d26f9f215bd7d2674ed404811e541358755220bb716c0b97c81fe86'),
    ('20260203120000_add_deprecated_verification_token_table', '3dc7d10d308db8101ff1b79a92aff63348f3a686736d4bed672c02c8e8ceb3cf'),
    ('20260205091235_allow_team_guardrail_config', '1d364b454c528c4662780cc4a0ddb12f4c18e82b5eebc83a72fd4429ff367aa1'),
    ('20260205144610_add_soft_budget_to_team_table', 'f1f3c7982ff5ff7f55b064d247cc39ce39e882c7d02abf621669e1b76e437442'),
    ('20260207093506_add_available_on_public_internet_to_mcp_servers', 'bdb5f1a12ad5eb20c962d03bfd05d6aee6fce92cfd50972d61864856753b0e3a'),
    ('20260207110613_add_soft_budget_to_deleted_teams_table', 'f7c32024cf470b46700be73100dc1e08010942989e908ceb12a5b0e72f95fb5f'),
    ('20260209085821_add_verificationtoken_indexes', '3cea96b5d541ed36ab8bd027ea3a05094ee235ae9867228aa2fb04c3723fb324'),
    ('20260212103349_adjust_tags_policy_table', 'a782f25b1d9fef4048b24e768f076cabee428060151761cbb9331efa78686ee7'),
    ('20260212143306_add_access_group_table', 'c245f807fcfd72bf80d438f1459fa60c9d4fb445990b154b5ed1bb0fa9ba1872'),
    ('20260213105436_add_managed_vector_store_table', '5ac7e8b6bfb25f1a6d931d545e32929108c76612e73eae2e806ea18058d42ecc'),
    ('20260213170952_access_group_change_to_model_name', '153e085303ec6c02df5d6fc44a152a853a33b498a252b3c8b1c48056a8da231a'),
    ('20260214094754_schema_sync', '7269a6d0c0734aced27e3cbcc5841fce76f2f9990b2d44dbcba886f0188e7171'),
    ('20260214163027_add_pipeline_to_policy_table', 'ec5ae74d2da8fcc40a42d7f48b2e4ad951677f4e4988a5d52af3665ad54b5e72'),
    ('20260214185341_object_permissions_for_end_users', 'be60adf5a2b5cee92eed4e17e2d213d0a12c1debd55a637e7ba05e3a234bb2b3'),
    ('20260218231534_add_last_active_to_key_table', '7f63ab0118b1e6582eb284dd957c708ff77efe0463219f895a2dee48f0beb6e3'),
    ('20260219105005_add_project_id_to_deleted_keys', 'a8a34c4f3f2e5db16ee907152ebf836f5a63aea777798a66069c8af7997869a4'),
    ('20260219181415_baseline_diff', 'ecbd073ba23472f98ede77177d4318abb9ae0958bae691ed3939dead91bd299e'),
    ('20260220124742_add_spec_path_to_mcp_servers', 'e49454e7f5be2ba0e46da7e5be61900942398f971dcfb0ab70ff4fcef9cfd50e'),
    ('20260220153844_add_composite_index_aggregate_tables', '3f509af1ecb34b350a56f8e35ef47944541f487ddf5033e70f05c2f0ebcc0615'),
    ('20260221000000_ensure_project_id_verification_token', 'c6e0c6f91022ecb66af31eb3778913a2313b1b8270dd7f241681abf354ce306d'),
    ('20260221183800_add_policy_versioning', '7f3f29b50badc248a70f5a4aaee3ed06d933e1ad8ebaef543338a6cb816faf4b'),
    ('20260222000000_add_batch_processed_to_managed_object_table', '70826378aec43d18575c23e83417bc11455a267104eb0909918a96a24118ba55'),
    ('20260224201417_spend_logs_request_duration', 'bc0cb6ca3c8f432c0b32ad128fa3667ed991245b672e62e9fd18ca34552482ee'),
    ('20260224203854_add_agent_object_permissions_table', 'c7d02b13901092b4f9bcc4eac1102f23ba8d639ed3fa9745277647df904afb92'),
    ('20260226000000_add_blocked_tools_to_object_permission', '855545571013964f192ec7d066c001392d2778c47ad1306c974322cc4ad7482f'),
    ('20260226120000_add_spend_log_tool_index', '019ae3e4e71f35763d6d515e1d463d97e75b8c50e7637c842e4e16ce59009a4b'),
    ('20260226202727_add_agent_id_to_delete_keys', '67af990c525e2160cbda0c759d6992ccbfc4b228313c2439b3b47f93c5c4c13c'),
    ('20260228000000_add_claude_code_plugin_table', '97f41d1817251781594a1dbf5d812f1a860ff21da79d11e914d5151179481fd4'),
    ('20260228100000_add_spend_logs_composite_index', '7ece8b0cdb67336e9914f87882bcc804ada60de54a715f10175a9450748d6cfa'),
    ('20260228110000_mcp_default_public_internet_true', 'e007fdb13fe6128d5ac59ae7e7c4b92b08a147a38a44ddcf518dbe94d3904726'),
    ('20260228170127_support_team_based_guardrails', '3610ed4728cd666030881bc61380441901e65a0705296ed255a1bc5001bf6457'),
    ('20260303000000_update_tool_table_policies', 'e85f13e8222e6aa682cf1c8e8af45823bf480d85446893c71d77fbea18adcd61'),
    ('20260304175016_add_spend_to_agent_table', 'cbdcbf988896f0ba08bc774f345f550ea3c784c4bc5eda872af093be346cc84d'),
    ('20260305000000_add_agent_headers', '225bc1c1da92e33d0088e7703fe786430da76cc631317eaef1d4aecc520f8262'),
    ('20260305000000_add_rate_limits_to_agents', 'ebe9b00cdbe4225e49f9bba8d0dcf1e22dc7b43f63bb5ccebc8fdde76f227f14'),
    ('20260306175056_add_configs_override_table', 'f4b1682d40d1999b98215a0677481980372e4cb5659d071e878a343a7a65944b'),
    ('20260306233848_schema_sync', '1fac2f1e9d937b170c06b7828f3de1290d056287d81901b03c174d75bf1e0604'),
    ('20260309000000_add_mcp_approval_status', '69c77e41e45c3f24f50bfccc2801795aa9ecbdada2cc35263f1977a81457d55a'),
    ('20260309000001_add_mcp_source_url', 'cbf048fe8db758b349f53a1d4e25107d354a41c3aa9080bb1d5a091343e125b0'),
    ('20260312124619_schema_sync', '62bc045f03c1393c83743262d885693297f891b879bcbf11c749c588e005525b'),
    ('20260318140652_add_index_to_team_table', '6d2aa9c28c9c3de83bd5f6cee2bdc6a2b671f348ca8dee58dfc7ffd2abf831cb'),
    ('20260319000000_restore_mcp_approval_fields', '552e04c0e6590ef1b2e9d0e1a181e3c98d83581ae57ab4e292aafa76a54af1fb'),
    ('20260321000000_add_mcp_toolsets', '4b151c1a923781877f3666157d5463a1e0c565dad6c20e73eb8840b76c5bf9a0'),
    ('20260331000000_add_prompt_environment_and_created_by', '52db3f7f88c3073debc15024e2d3c448a294510531d5189a9fe7d6cbfc44756b'),
    ('20260401000000_add_budget_limits', 'ef1161b00f477701b08b9868c8ca4b41266765a946c3adda8530d810db7bc7c5'),
    ('20260401000000_add_team_member_model_scope', '4872cb4220d148cc96b4a17e8673566891ebdd804a576112db705147bc9c1a2f'),
    ('20260414140000_add_mcp_server_instructions', '076b759528c1065b535472c6694bbdeb7d6b0b5446f3df26ea68aac3294c49b1'),
    ('20260415120000_health_check_latest_per_model_index', 'e5dce697bc2b61744f058f64892ebd7ef4112a46fc82ba42cd6104785e977ccb'),
    ('20260418000000_add_adaptive_router_tables', 'b49bdecc8510bbe30eb3810761cbde182a37575cd012e38fff60829a3c32e8a7'),
    ('20260421120000_add_memory_table', 'a39a409b748dc9c65ab7f182cc668d21c89a8489f1859899056fab60a7c8ba1e'),
    ('20260421135425_add_team_membership_total_spend', '686be79c5c68c056c7473f27374767ae6c952fe09e95ea7b8dd13047a09fad8b'),
    ('20260429120000_search_tools_on_object_permission', 'dab418bc243b4a928ca2fca2a49621900c1d2223fde0aa5c9c6027ca2d8b5558'),
    ('20260429161855_workflow_runs_tables', '6293c4f78ea52d9e64503a0b284e9da960dd6351ffe2210b74ec5494607c6f67'),
    ('20260501195714_managed_resource_team_owner', '70a413cf659a8263cc4cc3d90942fa13c11569f6a29dac63aabfe53791ea7f57'),
    ('20260513120000_add_delegate_auth_to_upstream_to_mcp_servers', '8edde816aef67759bbdb455276a3aa02e15e2e96892d8623cdb58092d393992e'),
    ('20260514120000_add_blocked_to_proxy_model_table', '6079a465b829311a62c9fccc9c15447754841e683b3862551819d02cc59868fc'),
    ('20260520120000_add_mcp_env_vars', 'b1884c51b26eaf06412782635b88f7073efbf8a93c4a6b647eb1f504e53e7bc6'),
    ('20260526120000_add_oauth_passthrough_to_mcp_servers', '12fc51a97ad28eb8c2f69841ee25d30f3f394b73f689d99952adb5a8db2de224'),
    ('20260604120000_add_oauth2_flow_to_mcp_servers', '37a30575e319fe6d071ae0169f920822af0cd1dc98bce17a60afa21548dd6aa0'),
    ('20260605182307_add_timeout_to_mcp_server_table', '04ad0398ccf6dc0c03a1f1520f4461b7fe34347654f81d19a2a3bef8e8ef2e89'),
    ('20260626120000_add_mcp_tool_search_enabled', '58ba614cb29ed40b724f02a5657b1eb04294c528f55c889413fa1b4f8e1a0a2b'),
    ('20260629000000_add_max_concurrent_requests_to_mcp_server_table', 'ab8e6e84af7b3080d559c5e2023752b7f1bd69c94111284fe1d878bcdf4458ea'),
    ('20260630120000_add_token_exchange_to_mcp_servers', 'ddc9a89115f25ec043b6dfd46eff43e37289db55ab3e82a74290660d308a0399'),
    ('20260630190000_add_budget_fallbacks_to_litellm_verification_token', 'e505c9f94735b209b790293b0a02e14a9b7fd306d144c0d6138190874105e02e'),
    ('20260703120000_add_token_exchange_profile_to_mcp_servers', 'c17998f21e0122401c7f3e4d11f02b7c3924da6ae9a0f5a17bb4920d7b5b3ccc'),
    ('20260710000000_add_dcr_bridge_to_mcp_server_table', '8071e33b4af00586d53adfecfac43a6ce3ece46aadabc306e43083c8c429faa4'),
    ('20260713010000_add_ptu_columns_to_daily_team_spend', 'b8b667c881330111a4f034e20d489b962b2c7599ca8ebbd54cadfcb9e7446076'),
    ('20260713230852_add_key_type_to_litellm_verification_token', 'e8cf45e1f2aab2ddaad1d53cd67f518e08f803b409ccac210a9c3a3e8c6a03f5'),
    ('20260715000000_add_issuer_to_mcp_server_table', 'bb5a30704d0ff8a32635b757a34027d84170ec0ad114bcaf1ca71e771f57b19a'),
    ('20260717000000_add_compression_saved_tokens', '3bd9818383657f7399aa7e5b5acb8743f3d684063cad4e0f962927f8574eefe0'),
    ('20260717000000_add_mcp_server_oauth_client_table', '9d9b8d465b5c7974d73798f07b74496a5ff5a615e9fc646c8eac3651f50eb94b'),
    ('20260717000000_cascade_delete_jwt_key_mapping_on_token_delete', 'a9d57b2cfb9e268734ed4d43786f3423f333c51d8f6f698ec4a3b1ffb77c446a'),
    ('20260718000000_add_savings_spend', '09d40b5beacaf2c2bf1c73da2fe0e67e2812e3fd6ee1977c47ae9417eda0667d'),
    ('20260721000000_add_sso_identity_assertion', '61df604554a40f55fd44a1f94d20b154eea3d10bc83a399d64ed42a784a37e71'),
    ('20260724000000_add_spend_log_tool_index_start_time_idx', '3a73fe2955610df1fd635e2ab4ffb33004db5d0c03221eda799ac45455d7af09'),
    ('20260725000000_add_daily_tool_spend', '626702edb86035095d6ae9cd21ee218bc7ed98267c2472a9918b1f7057957ab2'),
    ('20260729000000_add_reload_tracking_to_litellm_config', 'c2b92f39fc51fc9a23ebc90eebc648e5cd1eaa70fcc92db7bb43cf1b6d9a2e7e'),
    ('20260730000000_add_api_key_and_request_tags_to_managed_object_table', 'dbfd2ddf670c8ee0d6016c38db9858334d2593f739e0778ccf60691e645819e1'),
    ('20260731000000_add_autorouter_savings_spend', '7bb2048d3377d9a237a5650f757992aada6bc9d88a003b326d283397541f330e'),
    ('20260803000000_add_daily_gateway_requests', 'd052bf6f7fead1abbe9dce9b7adda7a6497acd685321f91b819ecd1ac34eb551'),
    ('20260804162853_add_budget_window_spend_table', 'ea19ecfef5e181f8b4ac20d9e5baeb241c2d10a793de3c50cfc24b69ca600774'),
    ('20260805000000_add_autorouter_session_rollup', '25607951a7a70e13670a7209c1b711cf22e758b441028b4ce6d9e76c662d184f'),
    ('20260807000000_add_autorouter_session_tier_turns', '22e5b257dcd2d8695f9b76eddc5f6543a245fdcea14bf5ba6f0643eebb988a54'),
    ('20260810000000_add_verificationtoken_settings_updated_at', '420c8634a5febc76b118fcb9295b0dfd73579d58396ac85746f4098c46d34739'),
    ('20260811172448_add_shadow_eval', '03f670e91b8586922d1a6e8460274697eb73bb365ecdf26eea0727b16b8ba05a'),
    ('20260813180408_add_shadow_eval_direction', 'cca1fa5a90e74f31902714b7ef8c147712b6c889f82effb6491a226abbc34f9b'),
    ('20260814000000_add_proxy_worker_heartbeat', '7b042b28a4b8bfa74ad9e439b2aca4c85ab6e0de707a5f115d8caae287aba059'),
    ('20260817000000_shadow_eval_multi_key', 'b979459e5949f3731ac4ec029665748e312f8420a6756c9775b99fcd9210cf7c'),
    ('20260817143646_add_daily_guardrail_usage_units', 'c49f1741928eb7c91f6f1c65a8795dc34ed337f4bf287dacb394dbdb21da3d2e'),
    ('20260818000000_add_spend_log_timestamps', '43483d9059a5bb4c5d1909b66cf31a0bcfcb56ee8cee41759a2fe6cc7ec29f7a'),
    ('20260818224500_add_shadow_eval_stopped_by', 'eb7eab0f28f0195e29aa3b522dadd5f20cab937321b28f9414694c77ba7275d2'),
    ('20260819000000_shadow_eval_max_budget', '57b13e4db3145e309bc1de0f6227ca1ac996b770ed64a305e8d5d576339c6dce'),
    ('20260823000000_add_spend_logs_api_key_starttime_index', '2ae38bee90bda6ecc16d6cfc4cd6c33344b47557a4ed1b35eaabf58b02540ce0'),
    ('20260824000000_add_gateway_injected_caching_savings_spend', '8657e0cd99f8ff8e69dba50decc602c0d11e98076f6a32a3cb5563c6ce114da7'),
    ('20260828000000_shadow_eval_cost_comparison', '57e6e28b853b51674dc0161a71cb1149f449086cd7ee787e5eb768283fed25a9'),
    ('20260829000000_add_model_access_group_budget_table', 'd8003a7d0a4fdf580aaf1262408959882b205ee83a13bd131ca706fd3b3e1298'),
    ('20260831000000_shadow_eval_typed_targets', '78357ae2db2ee3b5305d5630c0eae95af59ae2db07e5adf21b5fb4f37f334cd6'),
    ('20260831120000_add_litellm_call_id_spend_logs', 'bcb344e885c0784de365a94646a21a5564942a90b55bcbcc9e3c492fb2b831b6'),
    ('20260831120001_spend_logs_litellm_call_id_index', '7166fd213126f8dcbd6d1ecdf0d2851cdd55abf5e518242f2f44bb6b100a872d'),
    ('20260901000000_shadow_eval_multi_router', 'f6980539317506b5daa6746011743bf8f369a9f0d6a4469d696be46faae453f2'),
    ('20260901000001_add_guardrail_usage_units_cost', '7381f8ea473e50d0dcb67aff508a6fe70984da9ec3d821652db87afe39733106'),
    ('20260903230000_add_org_id_to_managed_object_table', '35fd128554221aa4409cc8405b990c70c37b7a291dd00f7ab766b0d5a52cc977'),
    ('20260904000000_shadow_eval_model_scope', 'f58035b900234c4a2d93691cdeef0b033409eacfb8bebecac978c3b7b21084e5'),
    ('20260905120000_add_per_server_oauth_discovery_to_mcp_servers', 'f18e82c054d69d040e4eeb6b1a036638216117b5d2292cb7cc315f8ffc217da6'),
    ('20260907000000_add_autorouter_classifier_cost', 'af862ad1c02eb4467747610cec938d50549df28a9ad0810f0a8ddde3644f7c8f'),
    ('20260910000000_add_autorouter_session_baseline_models', 'cb6444896cbeb60aa289c10750c65eb5a7a2fc9baa2552394e047658cf03decf'),
    ('20260910000000_skills_on_object_permission', '8bb13d391be3872bc38b9455224292bd55f7179f4f4f9f2065659072d1e0e208'),
    ('20260913000000_add_tpd_limit', 'e65f7d0fa6d24cf46fc6596aed9371d7f49ff9d45670ac36b542d8395a84d57b'),
    ('20260915000000_add_autorouter_savings_estimate_coverage', '426f1b80ffe1319401bd994a9bdc061145a09fd080e9bf074bf8f22980a238ab'),
    ('20260915000000_add_background_interaction_settlement', '4ba16ffc103a006dc4bf9b914cb19a84c04fd7746b55604e932ec9dbe1ac6a35'),
    ('20260915000000_add_daily_global_spend', '83d716d3adf6eeee67eed7b037aa975b92317d38691dc6e0230616fcaeec3bda'),
    ('20260915000000_add_daily_response_time', 'b19733a85da03b52b6265d3196781e4e4131beb6ffc76942136cb361a1da67f3'),
    ('20260915000000_scope_jwt_key_mapping_by_issuer', '9a2954a7a631243ea15d7437b86bc199d424cccc9f596c3223b5a408259636c3'),
    ('20260915010000_add_autorouter_baseline_state', '181dc0a452fb062476fe77e18351f48e20c2b14f763d3b19dce3ccb81c962d3d'),
    ('20260916000000_add_key_total_spend', 'a6c0cd6606339cc5267c21d202b6f6142bdb47806d17075f09fcbd15ad967b5d'),
    ('20260917000000_add_agent_access_group_ids', 'd40a9042f649e10aea65d170104f2cf12dbcfa3a9c6324b3f5f73e578ca32429'),
    ('20260917000000_add_budget_temp_increase', '5fd45400bee66355df8cc4dc7b839cdcbff2555de2e0a87f508051b3ef49463e'),
    ('20260917055603_add_policy_attachment_priority', '9591135a8f8899d8129b100b287776fe0c52cbb0b89f0e05057716359b3d953f'),
    ('20260918000000_add_managed_file_content_table', 'd8c32459c92896d2e7ba57c7541da5449aa2c7124b02bb787bf3b221c3601849'),
    ('20260919000000_add_autorouter_user_session_rollup', 'd5227cb7dbe124069aef53dd1050ad50853eec3b134eec2fd16917b302d8fa22'),
    ('20260920041500_add_policy_attachment_is_default', '33259c7ebc3c2a2d7f2d81eef1e8f3fb94217facd882694bec2c30f9b7d851ef'),
    ('20260921000000_add_password_reset_columns', '601287a72ed29f3813d97dd51a16a83407a585731788ab512fedf8a01f56a756'),
    ('20260921190000_agent_identity', '4a9d6f79f0cfe0eef9b76d1dd4c676b93be64d5621fd9f4c11f5870385991bba'),
    ('20260923000000_add_agent_kill_switch', '5202b1314da4432a30700c558b6ef3c234a3057376deca81f0dad00f4293838a'),
    ('20260923000000_add_mcp_catalog_revision_trigger', 'ba5bde6b695aa281c5421953a3711383c8d5b8de76776c00a0ef483e34f129e0'),
    ('20260925000000_add_mcp_pinned_tools', '23f89722e760e15fc22cf90caa439d7895cd60c32cc6add6b1ca449993f88562'),
    ('20260928000000_add_daily_model_usage', '2eb2711cabd6f75670849f40ee1d1f7f48d468f22d7871c69dbede02d60cb63d'),
    ('20260930000000_add_end_user_models', 'bbc0b7f01c2bda361dfe9fe809a2fe04c90c27a9cf395dd43a863a7067d5c5fa'),
    ('20260930000000_agent_engine', 'c08a58b26e04b2a83bb4c58864e0a9608941c3561dc7dbfc9c12604336f392d9'),
    ('20261001000000_lens_run_history', '200f7b134499282a235b0be261d520286066c5f7fa10bc461fd29c6d749a0b61'),
    ('20261001100000_rename_lens', 'ca2c6b8bda8b16381e9b707d43d914c800923c8b476b4da12d3ad0b4179a3603'),
    ('20261001200000_add_autorouter_daily_spend', '2ffd8eaa1848a3257761efe22fd3506d1215fcf773ee4f9eae0be06df139a94d'),
    ('20261002220000_lens_worker_scope_index', 'dcde5e05c304af73d280ff2de2eecf01f7db078009f9fd6b2427f778665b689d'),
    ('20261003000000_add_managed_file_flat_ids_gin_index', '6a7ae2add00763cef3d22eca54ff4de8716e796055e24d75f3a4baf254555581'),
    ('20261005000000_add_mcp_server_rpm', 'c80454df7b4792493a75e88814eed9b61a74bb55277edb087876d689d8cb403c'),
    ('20261005230000_lens_trace_findings_indexes', '0d8a4bb1f55b830ea44720588cdbde1d4196de7e689cd1e5c857093d5a1bc5e4'),
    ('20261005230100_lens_current_findings_index', '5451ade10cbb9a6fb820668cfa72ac90300df52520e64dba4fc8e5dfab5eae05'),
    ('20261006000000_lens_review_checkpoints', 'a07a99fac3bfcdb06b3faf0f557dff57ea653522480e46770a1f3c35bde34512'),
    ('20261006000100_lens_datasets', '4fb8654875bd41aca09c41021e6ae058fe3b4123559bbf9a7870fdf0eb5681db'),
    ('20261007000000_lens_review_fk_on_update_cascade', 'c3b5e28e5d87c4de1b6723349018df3198a5d4a541105345ae7564742f97a1a1'),
    ('20261007000100_lens_ingestion_keys', 'c29362e22abccd54ce31a1d41f5a16128fbb7cb3335d0e5758cc2ea547502f7e'),
    ('20261007120000_add_autorouter_daily_tokens', '08edc2c064dd97f8bfb0a0bf9ba978ccb38f84f125b792104279fc40becb5a50'),
    ('20261008000000_lens_due_at', 'e5ff8171a5ca951497006954429abcafb9a65a25ffe7c66c79aad03b9198b771'),
    ('20261008000100_lens_due_at_index', '68d45aa95922ddf3047ea0856086df8a6633001e13a180ea5f0832f57673d677'),
    ('20261008000200_lens_trace_signals', '7227564e22a2d072282d2b5dde8edfdc171ac51d6200fc7b9979146eb9e7724f'),
    ('20261008010000_add_daily_gateway_failed_requests', 'b54b0af7a3b6d1bf9f8c786e84b871f5c133fa3112261ac1648283040515f06d'),
    ('20261008120000_add_daily_request_errors', '96cf9cf7ecccd4f092ea952d13028450e607535ad1a4b1a922bde5a02dc57d85'),
    ('20261008120000_user_provider_credentials', 'a9e0faf09fd73c5f379d5f7fc303f3377ddcda2ead95f7ba35e83afc354a278a'),
    ('20261009000000_add_credential_display_name', '3762200ff02520de58ef56103f88da9057bfb4323c79eb25632b1895fd2c752f'),
    ('20261009000100_telemetry_reports', '5703dcf4c59826695008cea73cb2519a184404126dfc02a1ae4289adfc78451d'),
    ('20261013000000_access_group_mcp_tool_permissions', '6f7be68db524ce17232e0ebc67d93c9b1102b8e3238b18aa562493d7f7e1d2e9'),
    ('20261013000000_add_access_group_skill_names', 'e7ef5bf796b5e3427d3e319eb904518d123a0772927c9cc4ba605e874e57c4be'),
    ('20261015000000_managed_object_end_user_id', 'e289521c98eea18345fbe042f55a2ec67cba3f2421bf3bf34705f4ec0bc574b8')
) AS m (name, checksum)
WHERE NOT EXISTS (SELECT FROM _prisma_migrations p WHERE p.migration_name = m.name);
