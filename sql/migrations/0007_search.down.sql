DROP TRIGGER raise_file_versions ON collab.files;
DROP TRIGGER raise_file_versions ON collab.messages;
DROP TRIGGER raise_file_versions ON collab.message_files;
DROP FUNCTION runtime.raise_file_versions();
DROP TABLE runtime.file_versions, runtime.search_jobs, runtime.search_routes, runtime.search_generations,
    runtime.search_state;
