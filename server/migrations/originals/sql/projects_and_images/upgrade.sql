-- What there was before originals: an upload is an image of a project, in one style, with the address of its bytes.

CREATE TABLE projects (
    id uuid PRIMARY KEY DEFAULT fn_uuid(),
    name varchar(200) NOT NULL,
    company_id uuid REFERENCES companies ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT fn_now(),
    updated_at timestamptz NOT NULL DEFAULT fn_now()
);
CREATE INDEX idx_projects_company_id ON projects (company_id);
CREATE INDEX idx_projects_created_at ON projects (created_at, id);

CREATE TABLE images (
    id uuid PRIMARY KEY DEFAULT fn_uuid(),
    project_id uuid NOT NULL REFERENCES projects ON DELETE CASCADE,
    file_name varchar(255) NOT NULL,
    style text NOT NULL DEFAULT 'original',
    original_url text NOT NULL,
    processed_url text,
    file_size bigint,
    mime_type varchar(100),
    width integer,
    height integer,
    deleted_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT fn_now(),
    updated_at timestamptz NOT NULL DEFAULT fn_now(),
    CONSTRAINT images_style_check CHECK (style IN ('original', 'thumbnail', 'greyscale'))
);
CREATE INDEX idx_images_project_id ON images (project_id, created_at, id);
CREATE INDEX idx_images_original_url ON images (original_url);
CREATE INDEX idx_images_processed_url ON images (processed_url) WHERE processed_url IS NOT NULL;
COMMENT ON COLUMN images.original_url IS 'Key of the uploaded bytes in the object store';
COMMENT ON COLUMN images.processed_url IS 'Key of the bytes in this style; none where the style is the original itself';
COMMENT ON COLUMN images.deleted_at IS 'Deleted images keep their row, for billing; their bytes may be gone';

CREATE TRIGGER projects_updated_at BEFORE UPDATE ON projects
    FOR EACH ROW EXECUTE FUNCTION fn_set_updated_at();
CREATE TRIGGER images_updated_at BEFORE UPDATE ON images
    FOR EACH ROW EXECUTE FUNCTION fn_set_updated_at();

CALL secure_table('projects', 'company_id = fn_company_id()');
CALL secure_table(
    'images', 'project_id IN (SELECT p.id FROM projects p WHERE p.company_id = fn_company_id())'
);
